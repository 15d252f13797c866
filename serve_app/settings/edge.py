"""Settings of the HTTP edge: what a client may send, how slowly, and which browsers may ask."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from serve_app.settings.section import Section


class EdgeSettings(Section):
    """Limits of one HTTP proxy, and the headers of its answers."""

    max_connections: int = Field(
        default=512, ge=1, le=65_536, description="Open connections; further ones get 503 and are closed"
    )
    max_headers: int = Field(default=64, ge=8, le=1000, description="Most headers of a request; more get 431")
    max_header_bytes: int = Field(
        default=16_384, ge=1024, le=1_048_576, description="Request line and headers together, in bytes"
    )
    header_timeout_s: float = Field(
        default=10.0, gt=0.0, le=600.0, description="Time within which a request's headers must have come"
    )
    body_timeout_s: float = Field(
        default=10.0, gt=0.0, le=600.0, description="Time within which a request's body must have come"
    )
    write_timeout_s: float = Field(
        default=30.0,
        gt=0.0,
        le=600.0,
        description="Time within which a client must take 16 KiB of a waiting answer, else it is cut off",
    )
    stream_keep_alive_s: float = Field(
        default=15.0, gt=0.0, le=600.0, description="A silent event stream gets a comment this often"
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(), description="Origins (https://host) whose pages may call the API; empty: none (no CORS)"
    )
    hsts_max_age_s: int = Field(
        default=0,
        ge=0,
        le=63_072_000,
        description="Strict-Transport-Security of every answer; only where all clients come over TLS; 0: off",
    )

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError("allowed: origins such as https://reports.example.com, without path or *")
        return origins
