"""Before Serve's HTTP proxy: request ids as the app takes them, and the documented shape for its own errors.

Serve builds its proxy with the middlewares that the function named by `CALLBACK_VARIABLE` returns.
"""

import logging

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.edge import PROXY_CONTROLS, accepted_request_id, failure, request_id_var
from serve_app.errors import RESTARTING, Overloaded

_log = logging.getLogger("plumbline.proxy")

CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
CALLBACK = "serve_app.proxy:middlewares"
RETRY_AFTER_S = 5.0
# Serve's own routes, for its operators.
INTERNAL = "/-/"


def middlewares() -> list[Middleware]:
    return [Middleware(ProxyMiddleware)]


class ProxyMiddleware:
    """Lets no client set the proxy's timers, and turns a lost ingress into a refusal in words."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(INTERNAL):
            await self._app(scope, receive, send)
            return
        request_id = accepted_request_id(Headers(scope=scope).get("x-request-id"))
        request_id_var.set(request_id)
        dropped = PROXY_CONTROLS | {b"x-request-id"}
        headers = [h for h in scope["headers"] if h[0] not in dropped]
        inner = {**scope, "headers": [*headers, (b"x-request-id", request_id.encode())]}
        started = replaced = False

        async def refuse() -> None:
            response = failure(Overloaded(RESTARTING, retry_after_s=RETRY_AFTER_S))
            response.headers["x-request-id"] = request_id
            await response(scope, receive, send)

        async def send_in_shape(message: Message) -> None:
            nonlocal started, replaced
            started = True
            if message["type"] == "http.response.start" and _is_of_the_proxy(message):
                replaced = True
                await refuse()
            elif not replaced:
                await send(message)

        try:
            await self._app(inner, receive, send_in_shape)
        except Exception:
            # What has begun cannot be taken back.
            if started:
                raise
            _log.warning("no answer from the ingress to %s", request_id, exc_info=True)
        # Serve's proxy raises, or just returns, for some losses of a replica.
        if not started:
            await refuse()


def _is_of_the_proxy(start: Message) -> bool:
    """Whether the proxy speaks for an app that it cannot reach: the app itself sends no plain text."""
    media_type = Headers(raw=list(start.get("headers", []))).get("content-type", "")
    return bool(start["status"] >= 400) and media_type.startswith("text/plain")
