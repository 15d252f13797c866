"""Credentials that are API keys of this server."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.datastructures import Headers

from serve_app.auth.identity import Identity, bearer_token
from serve_app.auth.key_file import KeyFile
from serve_app.auth.keys import ApiKey, HashedSecret, read_key
from serve_app.errors import ConfigurationError, Unauthenticated

_log = logging.getLogger("plumbline.auth")

HEADER = "x-api-key"
NO_KEY = "This server asks for an API key. Send it as Authorization: Bearer <key>."
BAD_KEY = "The API key is not valid. Check it, or ask your administrator for a new one."
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# Stands in for a key that is not in the file.
NO_SUCH_KEY = ApiKey(
    id="0" * 12,
    user_id="nobody",
    made_at=_NEVER,
    revoked_at=_NEVER,
    secrets=(HashedSecret(hmac_sha256="0" * 64, made_at=_NEVER),),
)


class ApiKeyAuthenticator:
    """Looks keys up in the file by their id and compares hashes in constant time."""

    def __init__(
        self, file: KeyFile, pepper: bytes, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._file = file
        self._pepper = pepper
        self._now = now

    async def identify(self, headers: Headers) -> Identity:
        """Whose key the request brings, in Authorization or X-API-Key.

        Raises:
            Unauthenticated: none, two different ones, or one that does not hold.
        """
        texts = {text for text in (bearer_token(headers), *headers.getlist(HEADER)) if text is not None}
        if not texts:
            raise Unauthenticated(NO_KEY)
        presented = read_key(texts.pop()) if len(texts) == 1 else None
        if presented is None:
            raise Unauthenticated(BAD_KEY, detail="no readable key")
        try:
            key = self._file.current().key(presented.id)
        except ConfigurationError as error:
            _log.error("API keys not read", extra={"detail": error.message})
            raise Unauthenticated(BAD_KEY, detail="the file of keys cannot be read") from error
        # An unknown id takes as long as a wrong secret, so that answers do not tell which ids there are.
        holds = (key or NO_SUCH_KEY).holds(presented.secret, self._pepper, self._now())
        if key is None or not holds:
            raise Unauthenticated(BAD_KEY, detail=f"key {presented.id} is unknown or does not hold")
        return key.identity()
