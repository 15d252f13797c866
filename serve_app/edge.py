"""The outermost layer of the HTTP app: request ids, size and type of bodies, an answer for every bug."""

import re
import uuid
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api_models import ChatResponse, error_response
from serve_app.errors import InvalidRequest, PlumblineError
from serve_app.logging import log_error

# Ray Serve's proxy lets clients change its timers with these; the app's own deadline stands.
PROXY_CONTROLS = frozenset({b"x-request-timeout-seconds", b"x-request-disconnect-disabled"})

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")


def accepted_request_id(given: str | None) -> str:
    """The client's id if it is short and plain (it goes into logs and headers), else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def json_response(status: int, body: ChatResponse, retry_after_s: float | None = None) -> Response:
    headers = {"retry-after": str(max(round(retry_after_s), 1))} if retry_after_s is not None else None
    return Response(body.model_dump_json(), status, headers=headers, media_type="application/json")


def failure(
    error: PlumblineError, status: int | None = None, fields: dict[str, str] | None = None, **more: Any
) -> Response:
    """An error of the tree as a response."""
    body = error_response(error, fields, metadata={"request_id": request_id_var.get()}, **more)
    return json_response(status or error.status, body, error.retry_after_s)


class BodyTooLarge(Exception):
    """The body went over the limit while it was read."""


class _BoundedBody:
    """A request's body that is not read beyond a limit, whatever its length header says."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._left = max_bytes
        self.too_large = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.too_large = True
            raise BodyTooLarge
        return message


class EdgeMiddleware:
    """Plain ASGI, so that streams and cancellation pass through untouched."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, echo_request_id: bool = True) -> None:
        """``echo_request_id`` off: a proxy in front of the app puts the id into responses."""
        self._app = app
        self._echo_request_id = echo_request_id
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = accepted_request_id(headers.get("x-request-id"))
        request_id_var.set(request_id)
        inner = {**scope, "headers": [h for h in scope["headers"] if h[0] not in PROXY_CONTROLS]}
        body = _BoundedBody(receive, self._max_body_bytes)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._echo_request_id:
                    MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        async def send_unless_too_large(message: Message) -> None:
            # FastAPI takes any failure to read a body for bad JSON; its answer is replaced.
            if not body.too_large:
                await send_with_id(message)
            elif not started:
                await self._too_large()(scope, receive, send_with_id)

        try:
            refusal = self._refusal(scope["method"], headers)
            if refusal is not None:
                await refusal(scope, receive, send_with_id)
                return
            await self._app(inner, body.receive, send_unless_too_large)
        except Exception as error:
            log_error(error, request_id, path=scope["path"])
            if started:
                raise
            await failure(PlumblineError())(scope, receive, send_with_id)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        """What can be said before the body is read."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return self._too_large()
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        has_body = length not in ("", "0") or "transfer-encoding" in headers
        if method not in ("POST", "PUT", "PATCH") or media_type == "application/json":
            return None
        if not media_type and not has_body:
            return None
        found = f"The body's type is {media_type[:100]!r}" if media_type else "The body has no type"
        message = f"{found}; send JSON with Content-Type: application/json."
        return failure(InvalidRequest(message), status=415)

    def _too_large(self) -> Response:
        message = f"The body is larger than {self._max_body_bytes:,} bytes. Send less at once."
        return failure(InvalidRequest(message), status=413)
