"""API keys: how they look, how they are kept, and whether one holds.

A key is ``plk_<id>_<secret>``. The file keeps HMAC-SHA-256 of the secret under a server-side pepper: secrets
are 256 random bits, so a slow hash would add nothing, and without the pepper the file cannot confirm one.
"""

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from serve_app.auth.identity import Identity

PREFIX = "plk"
ID_BYTES, SECRET_BYTES = 6, 32
_KEY = re.compile(r"plk_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")


class PresentedKey(NamedTuple):
    """A key as a request brings it, taken apart."""

    id: str
    secret: str


def read_key(text: str) -> PresentedKey | None:
    """The parts of a key; None if the text is none."""
    found = _KEY.fullmatch(text)
    return PresentedKey(found["id"], found["secret"]) if found else None


class HashedSecret(BaseModel):
    """The hash of a secret. One that a newer secret has replaced holds until ``valid_until``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hmac_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    made_at: datetime
    valid_until: datetime | None = None


class ApiKey(BaseModel):
    """One key as the file keeps it: whose it is and what it allows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    user_id: str = Field(min_length=1, max_length=200)
    organizations: tuple[str, ...] = ()
    all_organizations: bool = False
    policy: str | None = None
    rate_per_minute: int | None = Field(default=None, ge=1)
    daily_questions: int | None = Field(default=None, ge=1)
    made_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    secrets: tuple[HashedSecret, ...] = Field(min_length=1, description="Newest first")

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def holds(self, secret: str, pepper: bytes, now: datetime) -> bool:
        """Whether a secret is this key's and the key may be used. Takes as long whatever is wrong."""
        digest = hashed(self.id, secret, pepper)
        matches = [
            hmac.compare_digest(digest, known.hmac_sha256)
            and (known.valid_until is None or now < known.valid_until)
            for known in self.secrets
        ]
        return any(matches) and self.state(now) == "active"

    def identity(self) -> Identity:
        return Identity(
            user_id=self.user_id,
            organizations=self.organizations,
            all_organizations=self.all_organizations,
            policy=self.policy,
            credential_id=self.id,
            rate_per_minute=self.rate_per_minute,
            daily_questions=self.daily_questions,
        )

    def rotated(self, pepper: bytes, now: datetime, grace: timedelta) -> tuple["ApiKey", str]:
        """The key with a new secret, and the new key's text. The secret before holds for ``grace`` more."""
        ends = now + grace
        kept = tuple(
            s.model_copy(update={"valid_until": min(s.valid_until or ends, ends)})
            for s in self.secrets
            if (s.valid_until or ends) > now
        )
        fresh, text = new_secret(self.id, pepper, now)
        return self.model_copy(update={"secrets": (fresh, *kept) if grace else (fresh,)}), text


def hashed(key_id: str, secret: str, pepper: bytes) -> str:
    """The id is part of what is hashed, so that a hash moved to another key holds nowhere."""
    return hmac.new(pepper, f"{key_id}.{secret}".encode(), hashlib.sha256).hexdigest()


def new_id() -> str:
    return secrets.token_hex(ID_BYTES)


def new_secret(key_id: str, pepper: bytes, now: datetime) -> tuple[HashedSecret, str]:
    """A secret's hash, and the whole key's text, which is told once and kept nowhere."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return HashedSecret(
        hmac_sha256=hashed(key_id, secret, pepper), made_at=now
    ), f"{PREFIX}_{key_id}_{secret}"
