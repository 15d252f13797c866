"""What the HTTP API takes and gives. The same shape for answers, clarifications, refusals and errors."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from serve_app.contracts import ColumnInfo, FeedbackStatus
from serve_app.errors import PlumblineError

# Bodies of the former system; their users are known only by their session.
FORMER_NAMES = {
    "message": "query",
    "question": "query",
    "session_id": "conversation_id",
    "org_id": "organization_id",
}
FORMER_USER = "anonymous"

# \x9b begins a command of a terminal as ESC [ does.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
# Half of a pair, as JSON's \\ud800 gives it: no text, and no encoding takes it.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _without_controls(value: object) -> object:
    """Control characters mean nothing in a question and cannot be stored by PostgreSQL (NUL)."""
    if not isinstance(value, str):
        return value
    if _SURROGATE.search(value):
        raise ValueError("must be valid Unicode text")
    text = _CONTROL.sub(" ", value).strip()
    # Joiners and direction marks alone are no text that anyone sees.
    return text if any(c.isprintable() and not c.isspace() for c in text) else ""


def _plain_id(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must not hold control characters or blanks at its ends")
    return value


CleanText = Annotated[str, BeforeValidator(_without_controls), Field(min_length=1)]
Identifier = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_id)]


class ApiModel(BaseModel):
    """A body of the API: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CallerFields(ApiModel):
    """Who asks."""

    user_id: Identifier | None = Field(
        default=None,
        description="Who asks, where the server asks for no credentials; else the credential says it and "
        "this is ignored",
    )
    organization_id: Identifier | None = Field(
        default=None,
        description="The organization asked for; with a credential one of the caller's, whose only one need "
        "not be named",
    )


class ChatRequest(CallerFields):
    """A question. Bodies of the former API (message, question, session_id, org_id) are accepted too."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"query": "How much was spent on permits in Q1 2025?", "user_id": "me"}],
        }
    )

    query: CleanText = Field(description="The question, in plain English")
    conversation_id: Identifier | None = Field(default=None, description="Continues a conversation")

    @model_validator(mode="before")
    @classmethod
    def _from_former(cls, body: Any) -> Any:
        return former_body_as_current(body)


def former_body_as_current(body: Any) -> Any:
    """A former-format body with its fields renamed; any other body unchanged.

    Former clients sent fields of their own besides and need not say who they are.
    """
    if not isinstance(body, dict) or not (FORMER_NAMES.keys() & body.keys()):
        return body
    renamed: dict[str, Any] = {"user_id": FORMER_USER}
    for name, value in body.items():
        current = FORMER_NAMES.get(name, name)
        if current in ChatRequest.model_fields and value is not None:
            renamed.setdefault(current, value) if name != current else renamed.update({current: value})
    return renamed


class ClearRequest(CallerFields):
    """Which conversation to forget."""

    conversation_id: Identifier = Field(description="The conversation to forget")

    @model_validator(mode="before")
    @classmethod
    def _from_former(cls, body: Any) -> Any:
        return former_body_as_current(body)


class SqlRequest(CallerFields):
    """SQL that a person wrote or edited."""

    user_id: Identifier | None = Field(default=FORMER_USER, description="Who asks, as elsewhere")
    sql: CleanText = Field(description="One SELECT statement")


class FeedbackRequest(CallerFields):
    """Whether an answer was right."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"conversation_id": "4f1c", "exchange": 0, "verdict": "up", "user_id": "me"}],
        }
    )

    conversation_id: Identifier = Field(description="The conversation of the answer")
    exchange: int | None = Field(
        default=None, ge=0, description="metadata.exchange of the answer; left out: the last one"
    )
    verdict: Literal["up", "down"] = Field(description="Right or wrong")
    sql: CleanText | None = Field(
        default=None, description="With down: the statement that answers the question"
    )
    comment: CleanText | None = Field(default=None, max_length=2000, description="Why, in words")


class FeedbackResponse(BaseModel):
    """What became of feedback."""

    success: bool
    feedback_id: str
    status: FeedbackStatus = Field(
        description="noted: nothing to decide; pending: waits for an operator; accepted: a verified example"
    )
    sql: str | None = Field(default=None, description="The statement of the pair, as it was checked")


class ErrorBody(BaseModel):
    """What went wrong, for a person (message) and for a program (type)."""

    type: str = Field(description="Stable name of the kind of error")
    message: str = Field(description="What was wrong and what to do, in one or two sentences")
    rule: str | None = Field(default=None, description="The validator rule that refused the statement")
    retry_after_s: float | None = Field(default=None, description="When to try again, in seconds")
    fields: dict[str, str] | None = Field(default=None, description="Per field of the request: what is wrong")


class ResultData(BaseModel):
    """Rows as objects in the order of the columns."""

    rows: list[dict[str, Any]]
    row_count: int
    columns: list[str]
    total_count: int | None = Field(description="Rows of the whole result; null if too many to count")
    truncated: bool


class ChatResponse(BaseModel):
    """Exactly one of data, clarification and error is set; a refusal has only its answer."""

    success: bool
    data: ResultData | None = None
    answer: str | None = Field(default=None, description="The result in one sentence")
    clarification: str | None = Field(default=None, description="One question back instead of a guess")
    error: ErrorBody | None = None
    sql: str | None = None
    execution_time_ms: float = Field(default=0.0, description="Time the database took")
    conversation_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class ValidateResponse(BaseModel):
    """The validator's verdict on a statement."""

    accepted: bool
    sql: str | None = Field(default=None, description="The statement as it would run, with the row cap")
    tables: list[str] = []
    row_cap: int | None = None
    violations: list[dict[str, Any]] = []


class StageReport(BaseModel):
    """Whether a stage can serve, and what it says about itself."""

    stage: str
    ok: bool
    detail: str
    figures: dict[str, float | int | str | bool | None] = {}


class HealthResponse(BaseModel):
    """``ok`` only if every stage can serve."""

    status: str = Field(description="ok or degraded")
    stages: list[StageReport]


class ClearResponse(BaseModel):
    """A conversation that was forgotten."""

    success: bool
    conversation_id: str


def error_response(error: PlumblineError, fields: dict[str, str] | None = None, **more: Any) -> ChatResponse:
    body = ErrorBody(
        type=error.type,
        message=error.message,
        rule=error.rule,
        retry_after_s=error.retry_after_s,
        fields=fields,
    )
    return ChatResponse(success=False, error=body, **more)


def column_metadata(columns: tuple[ColumnInfo, ...]) -> list[dict[str, str]]:
    """Each column under the name that it has in the rows."""
    return [{**c.model_dump(), "name": name} for c, name in zip(columns, unique_names(columns), strict=True)]


def unique_names(columns: tuple[ColumnInfo, ...]) -> list[str]:
    """Column names, a repeated one numbered, because rows are objects."""
    seen: set[str] = set()
    names: list[str] = []
    for column in columns:
        name, n = column.name, 2
        while name in seen:
            name, n = f"{column.name}_{n}", n + 1
        seen.add(name)
        names.append(name)
    return names
