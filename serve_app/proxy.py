"""Before Serve's HTTP proxy: request ids as the app takes them, and the documented shape for its own errors.

Serve builds its proxy with the middlewares that the function named by `CALLBACK_VARIABLE` returns.
"""

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.body import BodyRefused, ClientGone, has_body, replayed, whole_body
from serve_app.edge import PROXY_CONTROLS, accepted_request_id, body_failure, failure, request_id_var
from serve_app.errors import RESTARTING, ConfigurationError, Overloaded
from serve_app.http_protocol import bound_connections
from serve_app.security_headers import security_headers
from serve_app.settings import load_section
from serve_app.settings.edge import EdgeSettings
from serve_app.settings.tree import LimitSettings
from serve_app.sse import sse_event

_log = logging.getLogger("plumbline.proxy")

CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
CALLBACK = "serve_app.proxy:middlewares"
RETRY_AFTER_S = 5.0
# The ingress ends a question by itself, and a silent stream gets comments: this much later it hangs.
MARGIN_S = 5.0
# Serve's own routes, for its operators.
INTERNAL = "/-/"


def middlewares() -> list[Middleware]:
    """What Serve's proxy is built with; called once in the proxy's process."""
    try:
        # Only these: the process that faces clients is to know no secret.
        edge, limits = load_section("edge", EdgeSettings), load_section("limits", LimitSettings)
    except ConfigurationError:
        # The graph's start tells every fault; a proxy without settings could tell none of them.
        _log.warning("the proxy takes the default limits, because the configuration has faults")
        edge, limits = EdgeSettings(), LimitSettings()
    bound_connections(edge)
    return [Middleware(ProxyMiddleware, edge, limits)]


class ProxyMiddleware:
    """Lets no client set the proxy's timers or hold a replica, and tells of a lost or hung ingress."""

    def __init__(self, app: ASGIApp, edge: EdgeSettings, limits: LimitSettings) -> None:
        self._app = app
        self._edge = edge
        self._max_body_bytes = limits.max_body_bytes
        self._answer_s = limits.request_timeout_s + MARGIN_S
        self._silence_s = edge.stream_keep_alive_s + MARGIN_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(INTERNAL):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = accepted_request_id(headers.get("x-request-id"))
        request_id_var.set(request_id)
        timer = asyncio.timeout(None)
        exchange = _Exchange(
            scope, receive, send, request_id, self._edge.hsts_max_age_s, timer, self._silence_s
        )
        try:
            if has_body(scope["method"], headers):
                body = await whole_body(receive, headers, self._max_body_bytes, self._edge.body_timeout_s)
                receive = replayed(body, receive)
        except BodyRefused as refused:
            await exchange.refuse(body_failure(refused))
            return
        except ClientGone:
            return
        dropped = PROXY_CONTROLS | {b"x-request-id"}
        kept = [h for h in scope["headers"] if h[0] not in dropped]
        inner = {**scope, "headers": [*kept, (b"x-request-id", request_id.encode())]}
        try:
            async with timer:
                exchange.expect_within(self._answer_s)
                await self._app(inner, receive, exchange.send)
        except Exception:
            # Other answers than a stream cannot be taken back once they have begun.
            if exchange.is_cut and not exchange.is_stream:
                raise
            _log.warning("no whole answer from the ingress to %s", request_id, exc_info=True)
        # Serve's proxy raises, or just returns, for some losses of a replica.
        await exchange.finish()


class _Exchange:
    """One answer on its way out, and what to say in its place or at its end if the ingress is lost."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        hsts_max_age_s: int,
        timer: asyncio.Timeout,
        silence_s: float,
    ) -> None:
        """``timer`` ends the wait for the ingress; once it has begun, it may be silent for ``silence_s``."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._hsts_max_age_s = hsts_max_age_s
        self._timer = timer
        self._silence_s = silence_s
        self._started = self._replaced = self._ended = self.is_stream = False

    @property
    def is_cut(self) -> bool:
        """Whether an answer has begun and not ended."""
        return self._started and not self._ended

    def expect_within(self, limit_s: float) -> None:
        """End the wait if the ingress sends nothing for so long."""
        self._wait_until(asyncio.get_running_loop().time() + limit_s)

    async def send(self, message: Message) -> None:
        # A client that reads slowly is no silence of the ingress.
        self._wait_until(None)
        await self._pass_on(message)
        self.expect_within(self._silence_s)

    def _wait_until(self, ends: float | None) -> None:
        # Serve's proxy answers a wait that was ended, too.
        if not self._timer.expired():
            self._timer.reschedule(ends)

    async def _pass_on(self, message: Message) -> None:
        is_start = message["type"] == "http.response.start"
        if is_start and _is_of_the_proxy(message):
            await self.refuse(_restarting())
        elif not self._replaced:
            if is_start:
                media_type = Headers(raw=list(message.get("headers", []))).get("content-type", "")
                self.is_stream = media_type.startswith("text/event-stream")
            self._note(message)
            await self._send(message)

    async def refuse(self, response: Response) -> None:
        """Answer in the ingress's place; whatever else comes is dropped."""
        self._started = self._replaced = self._ended = True
        response.headers["x-request-id"] = self._request_id
        for name, value in security_headers(self._scope["path"], self._hsts_max_age_s).items():
            response.headers.setdefault(name, value)
        await response(self._scope, self._receive, self._send)

    async def finish(self) -> None:
        """A refusal if nothing was answered, an ``error`` event at the end of a broken stream."""
        if not self._started:
            await self.refuse(_restarting())
        elif self.is_cut and self.is_stream:
            body = bytes(_restarting().body).decode()
            self._ended = True
            await self._send({"type": "http.response.body", "body": sse_event("error", body)})

    def _note(self, message: Message) -> None:
        self._started = True
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._ended = True


def _restarting() -> Response:
    return failure(Overloaded(RESTARTING, retry_after_s=RETRY_AFTER_S))


def _is_of_the_proxy(start: Message) -> bool:
    """Whether the proxy speaks for an app that it cannot reach: the app itself sends no plain text."""
    media_type = Headers(raw=list(start.get("headers", []))).get("content-type", "")
    return bool(start["status"] >= 400) and media_type.startswith("text/plain")
