"""Credentials that are tokens (JWT) of an identity provider."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx
import jwt
from starlette.datastructures import Headers

from serve_app.auth.identity import Identity, bearer_token
from serve_app.errors import ConfigurationError, PermissionDenied, Unauthenticated
from serve_app.settings.identity import JwtSettings

_log = logging.getLogger("plumbline.auth")

LONGEST_TOKEN = 8192
LONGEST_ID = 200
# A flood of tokens with made-up key ids must not become a flood of requests to the identity provider.
LEAST_BETWEEN_READS_S = 10.0
FETCH_TIMEOUT_S = 5.0
LARGEST_KEY_SET_BYTES = 262_144
ASYMMETRIC = ("RS256", "ES256")
NO_TOKEN = "This server asks for a token. Send it as Authorization: Bearer <token>."
BAD_TOKEN = "The token is not valid here. Sign in again."
EXPIRED_TOKEN = "The token has expired. Sign in again."

ReadKeySet = Callable[[], Awaitable[str]]


class Keys(Protocol):
    """Where the key for a token comes from."""

    algorithms: tuple[str, ...]

    async def key(self, key_id: str | None) -> Any:
        """The key by the id in a token's header; None if there is none."""
        ...


class SharedSecret:
    """The one secret of HS256 tokens."""

    algorithms: tuple[str, ...] = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def key(self, key_id: str | None) -> Any:
        return self._secret


class KeySet:
    """A JSON Web Key Set, read again after its time and when a token names a key that it does not hold.

    While its source is away the keys read last stay in use.
    """

    algorithms: tuple[str, ...] = ASYMMETRIC

    def __init__(self, read: ReadKeySet, reuse_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._reuse_s = reuse_s
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def key(self, key_id: str | None) -> Any:
        if self._clock() - self._read_at >= self._reuse_s:
            await self._refresh(self._reuse_s)
        if (found := self._find(key_id)) is None:
            await self._refresh(LEAST_BETWEEN_READS_S)
            found = self._find(key_id)
        return found

    def _find(self, key_id: str | None) -> Any:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _refresh(self, older_than_s: float) -> None:
        async with self._reading:
            if self._clock() - self._read_at < older_than_s:
                return
            self._read_at = self._clock()
            try:
                self._keys = parsed_keys(await self._read())
            except (OSError, httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                _log.warning("key set not read", extra={"detail": f"{type(error).__name__}"})


def parsed_keys(text: str) -> dict[str | None, Any]:
    """Signing keys of a JWKS by their ids. Keys of kinds that are not taken are left out.

    Raises:
        PyJWTError, ValueError: the text is no key set, or holds no usable key.
    """
    found = {
        key.key_id: key
        for key in jwt.PyJWKSet.from_json(text).keys
        if key.algorithm_name in ASYMMETRIC and key.public_key_use in (None, "sig")
    }
    if not found:
        raise ValueError("no key for RS256 or ES256")
    return found


def key_source(settings: JwtSettings) -> Keys:
    """The keys that the settings name.

    Raises:
        ConfigurationError: the file of the key set cannot be read or holds none.
    """
    if settings.secret is not None:
        return SharedSecret(settings.secret.get_secret_value())
    if settings.jwks_file is not None:
        path = settings.jwks_file
        try:
            parsed_keys(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise ConfigurationError(
                f"PLUMBLINE_AUTH_JWT_JWKS_FILE is {str(path)!r}; allowed: a readable file with a JSON Web "
                f"Key Set of RS256 or ES256 keys ({type(error).__name__})."
            ) from None
        return KeySet(_file_reader(path), settings.keys_reuse_s)
    return KeySet(_url_reader(settings.jwks_url or ""), settings.keys_reuse_s)


def _file_reader(path: Path) -> ReadKeySet:
    async def read() -> str:
        return await asyncio.to_thread(path.read_text, encoding="utf-8")

    return read


def _url_reader(url: str) -> ReadKeySet:
    async def read() -> str:
        async with (
            httpx.AsyncClient(timeout=FETCH_TIMEOUT_S, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > LARGEST_KEY_SET_BYTES:
                    raise ValueError("the key set is too large")
        return body.decode("utf-8")

    return read


class JwtAuthenticator:
    """Checks signature, audience, issuer and times of tokens, and reads who asks from their claims."""

    def __init__(self, settings: JwtSettings, keys: Keys | None = None) -> None:
        """Raises ConfigurationError: the key set cannot be read."""
        self._settings = settings
        self._keys = keys or key_source(settings)

    async def identify(self, headers: Headers) -> Identity:
        """Whose token the request brings.

        Raises:
            Unauthenticated: none, or one that does not hold.
            PermissionDenied: it holds, but its role may not ask.
        """
        token = bearer_token(headers)
        if token is None:
            raise Unauthenticated(NO_TOKEN)
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated(BAD_TOKEN, detail="the token is too long")
        try:
            return self._identity(await self._claims(token))
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(EXPIRED_TOKEN, detail="expired") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated(BAD_TOKEN, detail=f"{type(error).__name__}: {error}"[:200]) from error

    async def _claims(self, token: str) -> Mapping[str, Any]:
        key_id = jwt.get_unverified_header(token).get("kid")
        key = await self._keys.key(key_id)
        if key is None:
            raise jwt.InvalidKeyError("no key of that id")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            # Never the token's own word alone: a public key must not become an HMAC secret.
            algorithms=list(self._keys.algorithms),
            audience=self._settings.audience,
            issuer=self._settings.issuer,
            leeway=self._settings.leeway_s,
            options={"require": ["exp"]},
        )
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        user = identifier(claim(claims, settings.user_claim))
        if user is None:
            raise ValueError(f"no {settings.user_claim}")
        return Identity(
            user_id=user,
            organizations=identifiers(claim(claims, settings.organizations_claim)),
            policy=self._policy(claim(claims, settings.role_claim)),
        )

    def _policy(self, role: Any) -> str | None:
        policies = self._settings.policies
        if not policies:
            return None
        policy = policies.get(role) if isinstance(role, str) else None
        if policy is None:
            raise PermissionDenied("Your role may not ask questions here. Ask your administrator.")
        return policy


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; a claim whose own name is the whole path, as of a URL, comes first."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def identifier(value: Any) -> str | None:
    """An id as text: a plain, not too long text or a whole number. Anything else is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        return None
    return value if value.isprintable() and value == value.strip() else None


def identifiers(value: Any) -> tuple[str, ...]:
    """The ids of a list, or of one value. A list with anything else in it gives none at all."""
    given = value if isinstance(value, list) else [] if value is None else [value]
    found = [identifier(item) for item in given]
    return () if None in found else tuple(dict.fromkeys(item for item in found if item is not None))
