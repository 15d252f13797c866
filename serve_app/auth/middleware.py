"""Asks for credentials before anything of a request but its headers is looked at."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.audit.records import Auditor
from serve_app.auth.setup import Gate
from serve_app.docs_page import ASSETS
from serve_app.edge import failure, request_id_var
from serve_app.errors import PermissionDenied, PlumblineError, RateLimited
from serve_app.logging import log_refusal
from serve_app.security_headers import DOCS

# Load balancers and browsers of the documentation bring no credential, and find no data there.
OPEN_PATHS = frozenset({"/health", "/ready", "/api/chat/health", "/openapi.json", DOCS, f"{DOCS}/start.js"})
QUESTION_PATHS = frozenset({"/api/chat", "/chat", "/api/chat/stream", "/api/sql/run"})
IDENTITY = "identity"


def is_open(path: str) -> bool:
    """Whether a path needs no credential; what could lead out of the assets' folder is no asset."""
    return path in OPEN_PATHS or (path.startswith(f"{ASSETS}/") and ".." not in path)


class AuthMiddleware:
    """Puts the caller's `Identity` into the request's state, or answers 401, 403 or 429."""

    def __init__(self, app: ASGIApp, gate: Gate, auditor: Auditor) -> None:
        self._app = app
        self._gate = gate
        self._auditor = auditor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            try:
                identity = await self._gate.authenticator.identify(Headers(scope=scope))
                self._gate.limits.admit(identity, scope["path"] in QUESTION_PATHS)
            except (PermissionDenied, RateLimited) as error:
                await self._refuse(error, scope, receive, send)
                return
            scope.setdefault("state", {})[IDENTITY] = identity
        await self._app(scope, receive, send)

    async def _refuse(self, error: PlumblineError, scope: Scope, receive: Receive, send: Send) -> None:
        log_refusal(error, request_id_var.get(), scope["path"])
        self._auditor.refused(error, scope["path"], request_id_var.get())
        await failure(error)(scope, receive, send)
