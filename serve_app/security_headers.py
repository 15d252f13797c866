"""Headers that tell browsers what no answer of this server is for."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DOCS = "/docs"

# Answers are data: a browser that opens one runs and embeds nothing.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The documentation's own files, and calls to this server alone. Its library sets styles in elements.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def security_headers(path: str, hsts_max_age_s: int) -> dict[str, str]:
    """Headers of every answer under ``path``, refusals included."""
    is_docs = path == DOCS or path.startswith(f"{DOCS}/")
    headers = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": DOCS_POLICY if is_docs else DATA_POLICY,
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    if hsts_max_age_s:
        headers["strict-transport-security"] = f"max-age={hsts_max_age_s}"
    return headers


class SecurityHeadersMiddleware:
    """Adds the headers to whatever an app answers; those that it set itself stay."""

    def __init__(self, app: ASGIApp, hsts_max_age_s: int = 0) -> None:
        self._app = app
        self._hsts_max_age_s = hsts_max_age_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in security_headers(scope["path"], self._hsts_max_age_s).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
