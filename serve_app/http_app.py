"""The HTTP API as a FastAPI app over a ChatService. Knows routes and status codes, nothing else."""

import json
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from serve_app.api_models import (
    FORMER_USER,
    CallerFields,
    ChatRequest,
    ChatResponse,
    ClearRequest,
    ClearResponse,
    FeedbackRequest,
    FeedbackResponse,
    HealthResponse,
    Identifier,
    SqlRequest,
    ValidateResponse,
)
from serve_app.audit.records import Auditor
from serve_app.auth.identity import Identity
from serve_app.auth.middleware import IDENTITY, AuthMiddleware
from serve_app.auth.setup import Gate
from serve_app.contracts import SchemaSnapshot
from serve_app.docs_page import add_docs
from serve_app.edge import EdgeMiddleware, failure, json_response, request_id_var
from serve_app.errors import InvalidRequest, PlumblineError
from serve_app.logging import log_error
from serve_app.openapi_document import document_callers
from serve_app.security_headers import SecurityHeadersMiddleware
from serve_app.service import ChatService, StreamRefused
from serve_app.sse import sse_bytes

DESCRIPTION = (
    "Questions in plain English over a PostgreSQL database, answered with true rows and the SQL behind them. "
    "Every response, errors included, has the same shape; `error.type` is stable."
)

CallerFieldsT = TypeVar("CallerFieldsT", bound=CallerFields)
Responses = dict[int | str, dict[str, Any]]

# What any call may be refused with, before or instead of its own work.
EDGE_RESPONSES: Responses = {
    400: {"model": ChatResponse, "description": "invalid_request"},
    431: {"model": ChatResponse, "description": "invalid_request: the headers are too large or too many"},
    500: {"model": ChatResponse, "description": "internal_error"},
    503: {"model": ChatResponse, "description": "overloaded: too many connections, or a part restarts"},
}

ERROR_RESPONSES: Responses = {
    **EDGE_RESPONSES,
    401: {"model": ChatResponse, "description": "permission_denied: no credential, or none that holds"},
    403: {"model": ChatResponse, "description": "permission_denied"},
    404: {"model": ChatResponse, "description": "conversation_not_found"},
    408: {"model": ChatResponse, "description": "invalid_request: the body came too slowly"},
    413: {"model": ChatResponse, "description": "invalid_request: the body is too large"},
    415: {"model": ChatResponse, "description": "invalid_request: the body is not JSON"},
    422: {"model": ChatResponse, "description": "validation_failed or execution_failed"},
    429: {"model": ChatResponse, "description": "overloaded: the caller's own limit is used up"},
    502: {"model": ChatResponse, "description": "generation_failed"},
    503: {"model": ChatResponse, "description": "overloaded, model_unavailable or the database is away"},
    504: {"model": ChatResponse, "description": "generation_timeout or execution_timeout"},
}

READY_RESPONSES: Responses = {
    **EDGE_RESPONSES,
    503: {"model": HealthResponse | ChatResponse, "description": "a stage cannot serve, or as elsewhere"},
}

STREAM_RESPONSES: Responses = {
    **ERROR_RESPONSES,
    200: {"description": "stage, token, sql, rows, then done or error", "content": {"text/event-stream": {}}},
}


def make_app(
    service: ChatService,
    echo_request_id: bool = True,
    gate: Gate | None = None,
    auditor: Auditor | None = None,
) -> FastAPI:
    """The app with all routes that the settings offer; see `EdgeMiddleware` for ``echo_request_id``.

    ``gate``: what asks for credentials; the service refuses everyone where it is needed and missing.
    ``auditor``: told of whom the gate refuses.
    """
    features = service.config.features
    app = FastAPI(
        title="Plumbline",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        openapi_url="/openapi.json" if features.docs else None,
        redoc_url=None,
        # A redirect has no documented shape, and leads to whatever host the client named.
        redirect_slashes=False,
    )
    document_callers(app, service.config.access.mode)
    if gate is not None:
        app.add_middleware(AuthMiddleware, gate=gate, auditor=auditor or Auditor())
    _add_edge(app, service, echo_request_id)
    _add_error_handlers(app, service)
    _add_chat(app, service)
    _add_operations(app, service)
    if features.streaming:
        _add_stream(app, service)
    if features.sql_endpoints:
        _add_sql(app, service)
    if features.feedback:
        _add_feedback(app, service)
    if features.docs:
        add_docs(app)
    return app


def _add_edge(app: FastAPI, service: ChatService, echo_request_id: bool) -> None:
    """The layers before the gate and the routes, the innermost first."""
    limits, edge = service.config.limits, service.config.edge
    app.add_middleware(
        EdgeMiddleware,
        max_body_bytes=limits.max_body_bytes,
        body_timeout_s=edge.body_timeout_s,
        echo_request_id=echo_request_id,
    )
    if edge.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=edge.allowed_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
            expose_headers=["retry-after", "www-authenticate", "x-request-id"],
        )
    app.add_middleware(SecurityHeadersMiddleware, hsts_max_age_s=edge.hsts_max_age_s)


def _identity(request: Request) -> Identity | None:
    identity: Identity | None = getattr(request.state, IDENTITY, None)
    return identity


Known = Annotated[Identity | None, Depends(_identity)]


def _named(fields: CallerFieldsT, service: ChatService) -> CallerFieldsT:
    """The body, which must say who asks where nothing else does."""
    if fields.user_id is None and service.config.access.mode == "none":
        kind = "string_type" if "user_id" in fields.model_fields_set else "missing"
        fault = {"type": kind, "loc": ("body", "user_id"), "msg": "Field required"}
        raise RequestValidationError([fault])
    return fields


def _add_chat(app: FastAPI, service: ChatService) -> None:
    async def chat(request: ChatRequest, identity: Known) -> Response:
        """Answer one question."""
        reply = await service.chat(_named(request, service), request_id_var.get(), identity)
        return json_response(reply.status, reply.body, reply.retry_after_s)

    paths = ["/api/chat", "/chat"] if service.config.features.former_api else ["/api/chat"]
    for path in paths:
        app.post(path, response_model=ChatResponse, responses=ERROR_RESPONSES, deprecated=path == "/chat")(
            chat
        )

    @app.post("/api/chat/clear", responses=ERROR_RESPONSES)
    async def clear(request: ClearRequest, identity: Known) -> ClearResponse:
        """Forget a conversation."""
        cleared = await service.clear(_named(request, service), identity)
        return ClearResponse(success=True, conversation_id=cleared)


def _add_stream(app: FastAPI, service: ChatService) -> None:
    @app.post("/api/chat/stream", responses=STREAM_RESPONSES, response_class=StreamingResponse)
    async def stream(request: ChatRequest, identity: Known) -> Response:
        """Answer one question as server-sent events: stage, token, sql, rows, then done or error."""
        pairs = service.chat_events(_named(request, service), request_id_var.get(), identity)
        # Whatever fails before the first event still gets its own status: a stream cannot take back its 200.
        try:
            first = await anext(pairs)
        except StreamRefused as refused:
            return json_response(refused.reply.status, refused.reply.body, refused.reply.retry_after_s)
        body = sse_bytes(first, pairs, service.config.edge.stream_keep_alive_s)
        return StreamingResponse(body, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _add_sql(app: FastAPI, service: ChatService) -> None:
    @app.post("/api/sql/validate", responses=ERROR_RESPONSES)
    async def validate(request: SqlRequest, identity: Known) -> ValidateResponse:
        """The validator's verdict; nothing is run."""
        return await service.validate(request, identity)

    @app.post("/api/sql/run", response_model=ChatResponse, responses=ERROR_RESPONSES)
    async def run(request: SqlRequest, identity: Known) -> Response:
        """Run a statement under exactly the checks that generated ones pass."""
        reply = await service.run_sql(request, request_id_var.get(), identity)
        return json_response(reply.status, reply.body, reply.retry_after_s)


def _add_feedback(app: FastAPI, service: ChatService) -> None:
    @app.post("/api/feedback", responses=ERROR_RESPONSES)
    async def feedback(request: FeedbackRequest, identity: Known) -> FeedbackResponse:
        """Say whether an answer was right; a right pair of question and statement can answer others."""
        return await service.feedback(_named(request, service), request_id_var.get(), identity)


def _add_operations(app: FastAPI, service: ChatService) -> None:
    @app.head("/api/chat/health", include_in_schema=False)
    @app.head("/health", include_in_schema=False)
    @app.get("/api/chat/health", responses=EDGE_RESPONSES)
    @app.get("/health", responses=EDGE_RESPONSES)
    async def health() -> HealthResponse:
        """How each stage is; always 200 while the ingress answers."""
        return await service.health()

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", response_model=HealthResponse, responses=READY_RESPONSES)
    async def ready() -> Response:
        """200 if every stage can serve, else 503: for load balancers."""
        report = await service.health()
        return JSONResponse(report.model_dump(), 200 if report.status == "ok" else 503)

    @app.get("/api/metrics", responses=ERROR_RESPONSES)
    async def metrics() -> dict[str, Any]:
        """Rate, latency, errors, retries and memory of this ingress replica."""
        return service.metrics()

    @app.get("/api/schema", responses=ERROR_RESPONSES)
    async def schema(
        identity: Known, refresh: bool = False, organization_id: Identifier | None = None
    ) -> SchemaSnapshot:
        """The tables, columns and values that the assistant may see when the caller asks."""
        fields = CallerFields(user_id=FORMER_USER, organization_id=organization_id)
        return await service.schema(refresh, service.caller(fields, identity))


def _add_error_handlers(app: FastAPI, service: ChatService) -> None:
    @app.exception_handler(PlumblineError)
    async def known(request: Request, error: PlumblineError) -> Response:
        log_error(error, request_id_var.get(), path=request.url.path)
        service.figures.error(error.type)
        return failure(error)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        service.figures.error(InvalidRequest.type)
        message, fields = described_faults(error, request.url.path)
        return failure(InvalidRequest(message), fields=fields)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        service.figures.error(InvalidRequest.type)
        return _refused_request(request, error)


def _refused_request(request: Request, error: HTTPException) -> Response:
    """FastAPI's own refusals (no such route, wrong method, a body not in UTF-8) in the documented shape."""
    path = request.url.path[:200]
    messages = {
        404: f"There is no {path!r} here. The calls are listed at /docs.",
        405: f"{request.method} is not offered for {path!r}. The calls are listed at /docs.",
        400: (
            "The body could not be read. Send JSON in UTF-8, such as "
            f"{example_of(path)}, without deep nesting or very long numbers."
        ),
    }
    message = messages.get(error.status_code, "The request was refused. The calls are listed at /docs.")
    response = failure(InvalidRequest(message), status=error.status_code)
    response.headers.update(error.headers or {})
    return response


_FAULTS = {
    "missing": "is required",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "extra_forbidden": "is not a known field",
    "bool_parsing": "must be true or false",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "model_type": "must be a JSON object",
}


# A body of a thousand unknown fields, or one of a thousand letters, is not told in full.
MAX_TOLD_FAULTS = 8
MAX_TOLD_NAME = 60


def described_faults(error: RequestValidationError, path: str = "") -> tuple[str, dict[str, str]]:
    """One sentence for the faults, and each of the first ones by its field."""
    fields: dict[str, str] = {}
    send = f"Send an object such as {example_of(path)}."
    for fault in error.errors():
        if fault["type"] == "json_invalid":
            return f"The body is not valid JSON ({fault['ctx']['error']}). {send}", {}
        if len(fields) == MAX_TOLD_FAULTS:
            break
        if fault["loc"][0] == "query":
            send = ""
        name = ".".join(str(part) for part in fault["loc"][1:])[:MAX_TOLD_NAME] or "body"
        if fault["type"] == "string_too_long":
            fields[name] = f"must have at most {fault['ctx']['max_length']} characters"
        else:
            text = str(fault["msg"]).removeprefix("Value error, ")
            fields[name] = _FAULTS.get(fault["type"], text)
    told = "; ".join(f"{name} {problem}" for name, problem in fields.items())
    return f"The request could not be read: {told}. {send}".rstrip(), fields


def example_of(path: str) -> str:
    """A body that the call takes."""
    bodies = {
        "/api/sql/validate": {"sql": "SELECT 1"},
        "/api/sql/run": {"sql": "SELECT 1"},
        "/api/chat/clear": {"conversation_id": "4f1c", "user_id": "me"},
        "/api/feedback": {"conversation_id": "4f1c", "verdict": "up", "user_id": "me"},
    }
    return json.dumps(bodies.get(path, {"query": "How much was spent last month?", "user_id": "me"}))
