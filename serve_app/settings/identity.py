"""Settings of identity: who may ask, as whom, and what is kept of it."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from serve_app.loopback import is_loopback
from serve_app.settings.section import Section

# RFC 7518: a key for HS256 has at least as many bits as the hash.
LEAST_SECRET_BYTES = 32


class JwtSettings(Section):
    """Tokens of an identity provider, such as Supabase's. Dots in the name of a claim lead into objects."""

    secret: SecretStr | None = Field(
        default=None, description="Shared secret of HS256 tokens; or give a key set"
    )
    jwks_file: Path | None = Field(
        default=None, description="File with the key set (JWKS) of RS256 and ES256 tokens"
    )
    jwks_url: str | None = Field(
        default=None,
        description="Address of the key set; read again from time to time and for an unknown key",
    )
    audience: str | None = Field(
        default=None, min_length=1, description="What aud must name (Supabase: authenticated); needed for jwt"
    )
    issuer: str | None = Field(default=None, min_length=1, description="What iss must be; unset: anything")
    leeway_s: float = Field(
        default=30.0, ge=0.0, le=600.0, description="By how much clocks may differ, in seconds"
    )
    keys_reuse_s: float = Field(
        default=300.0, gt=0.0, le=86_400.0, description="Seconds before the key set is read again"
    )
    user_claim: str = Field(default="sub", min_length=1, description="Claim with the user's id")
    organizations_claim: str = Field(
        default="app_metadata.organizations",
        min_length=1,
        description="Claim with the ids of the user's organizations, a list or one",
    )
    role_claim: str = Field(default="role", min_length=1, description="Claim by which policies are chosen")
    policies: dict[str, str] = Field(
        default={},
        description="Policy by the value of role_claim, other values are refused; empty: the same for all",
    )

    @field_validator("secret")
    @classmethod
    def _secret_is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < LEAST_SECRET_BYTES:
            raise ValueError(f"allowed: at least {LEAST_SECRET_BYTES} bytes")
        return secret

    @field_validator("jwks_url")
    @classmethod
    def _url_is_safe(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "https://unset")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("allowed: an https:// address")
        return url


class AuthSettings(Section):
    """Who may ask. Health and readiness are open to all in every mode."""

    mode: Literal["none", "api_keys", "jwt"] = Field(
        default="none",
        description="Credentials that are asked for; none: nobody is asked, so only this machine may connect",
    )
    keys_file: Path | None = Field(
        default=None, description="File of the hashed API keys; unset: keys.json in data_dir"
    )
    pepper: SecretStr | None = Field(
        default=None,
        description="Server-side secret with which API keys are hashed; unset: generated, beside the keys",
    )
    require_organization: bool = Field(
        default=True,
        description="Refuse callers of no organization; off: they see what the database's own role sees",
    )
    rate_per_minute: int | None = Field(
        default=60, ge=1, le=100_000, description="Calls a minute of one caller whose key says nothing else"
    )
    daily_questions: int | None = Field(
        default=None, ge=1, description="Questions a day (UTC) of one caller whose key says nothing else"
    )
    jwt: JwtSettings = JwtSettings()

    @field_validator("pepper")
    @classmethod
    def _pepper_is_long(cls, pepper: SecretStr | None) -> SecretStr | None:
        if pepper is not None and len(pepper.get_secret_value().encode()) < LEAST_SECRET_BYTES:
            raise ValueError(f"allowed: at least {LEAST_SECRET_BYTES} bytes")
        return pepper

    @model_validator(mode="after")
    def _jwt_is_complete(self) -> Self:
        if self.mode != "jwt":
            return self
        given = [self.jwt.secret, self.jwt.jwks_file, self.jwt.jwks_url]
        if sum(source is not None for source in given) != 1:
            raise ValueError(
                "PLUMBLINE_AUTH_MODE is jwt, so exactly one of PLUMBLINE_AUTH_JWT_SECRET, "
                "PLUMBLINE_AUTH_JWT_JWKS_FILE and PLUMBLINE_AUTH_JWT_JWKS_URL must be set"
            )
        if self.jwt.audience is None:
            raise ValueError("PLUMBLINE_AUTH_MODE is jwt, so PLUMBLINE_AUTH_JWT_AUDIENCE must be set")
        return self


class AuditSettings(Section):
    """The audit log: who asked what, and what became of it."""

    enabled: bool = Field(default=True, description="Write the audit log")
    required: bool = Field(
        default=False,
        description="Answer nothing whose record cannot be written, say on a full disk; off: answer, and "
        "record later how many lines are missing",
    )
    folder: Path | None = Field(
        default=None, description="Folder of the audit log's files; unset: audit in data_dir"
    )
    fsync: Literal["always", "interval", "never"] = Field(
        default="interval",
        description="When a line is forced to the disk: at once, within a second, or as the system likes",
    )
