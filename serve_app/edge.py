"""The outermost layer of the HTTP app: request ids, size and type of bodies, an answer for every bug."""

import re
import uuid
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api_models import ChatResponse, error_response
from serve_app.body import BodyRefused, ClientGone, declared_length, has_body, replayed, whole_body
from serve_app.errors import InvalidRequest, PlumblineError
from serve_app.logging import log_error
from serve_app.settings.edge import EdgeSettings

# Ray Serve's proxy lets clients change its timers with these; the app's own deadline stands.
PROXY_CONTROLS = frozenset({b"x-request-timeout-seconds", b"x-request-disconnect-disabled"})

UNAUTHENTICATED = 401

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
    response = json_response(status or error.status, body, error.retry_after_s)
    if response.status_code == UNAUTHENTICATED:
        response.headers["www-authenticate"] = 'Bearer realm="plumbline"'
    return response


class EdgeMiddleware:
    """Plain ASGI, so that streams and cancellation pass through untouched."""

    def __init__(
        self,
        app: ASGIApp,
        max_body_bytes: int,
        body_timeout_s: float = EdgeSettings().body_timeout_s,
        echo_request_id: bool = True,
    ) -> None:
        """``echo_request_id`` off: a proxy in front of the app puts the id into responses."""
        self._app = app
        self._echo_request_id = echo_request_id
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = accepted_request_id(headers.get("x-request-id"))
        request_id_var.set(request_id)
        inner = {**scope, "headers": [h for h in scope["headers"] if h[0] not in PROXY_CONTROLS]}
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._echo_request_id:
                    MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            refusal = _wrong_type(scope["method"], headers)
            if refusal is not None:
                await refusal(scope, receive, send_with_id)
                return
            if has_body(scope["method"], headers):
                body = await whole_body(receive, headers, self._max_body_bytes, self._body_timeout_s)
                receive = replayed(body, receive)
            await self._app(inner, receive, send_with_id)
        except BodyRefused as refused:
            await body_failure(refused)(scope, receive, send_with_id)
        except ClientGone:
            return
        except Exception as error:
            log_error(error, request_id, path=scope["path"])
            if started:
                raise
            await failure(PlumblineError())(scope, receive, send_with_id)


def body_failure(refused: BodyRefused) -> Response:
    """The answer to a body that is not read on; what is left of it goes with the connection."""
    response = failure(InvalidRequest(refused.message), status=refused.status)
    response.headers["connection"] = "close"
    return response


def _wrong_type(method: str, headers: Headers) -> Response | None:
    """What can be said of a body's type before it is read."""
    if method not in ("POST", "PUT", "PATCH"):
        return None
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    given = declared_length(headers) > 0 or "transfer-encoding" in headers
    if media_type == "application/json" or not (media_type or given):
        return None
    found = f"The body's type is {media_type[:100]!r}" if media_type else "The body has no type"
    message = f"{found}; send JSON with Content-Type: application/json."
    return failure(InvalidRequest(message), status=415)
