"""From a question to a prompt, and from an output to SQL."""

from typing import Literal

from pydantic import Field

from serve_app.contracts.callers import Caller
from serve_app.contracts.message import Message


class Candidate(Message):
    """One reading of a linked span: a stored value of a column."""

    table: str
    column: str
    value: str
    score: float = Field(ge=0.0, le=1.0)


class DateRange(Message):
    """Half-open range of dates as SQL expressions, so that relative dates stay relative in the SQL shown."""

    start_sql: str | None = Field(description="Inclusive lower bound, a PostgreSQL date expression")
    end_sql: str | None = Field(description="Exclusive upper bound, a PostgreSQL date expression")
    grain: Literal["day", "week", "month", "quarter", "year", "range"] = "range"


class Link(Message):
    """A span of the question resolved to a typed placeholder (V0, N0, D0 …)."""

    placeholder: str = Field(pattern=r"^[VND]\d+$")
    span: tuple[int, int] = Field(description="Start and end offset in the question, in characters")
    text: str
    candidates: tuple[Candidate, ...] = ()
    number: str | None = Field(default=None, description="Decimal literal of a number link")
    unit: (
        Literal["money", "percent", "count", "hours", "days", "weeks", "months", "years", "other"] | None
    ) = None
    dates: DateRange | None = None


ProfileName = Literal["instruction", "house"]


class ChatTurn(Message):
    """One message of a prompt for a model with a chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Message):
    """A built prompt. Exactly one of ``turns`` (chat template) and ``text`` (raw) is set."""

    profile: ProfileName
    turns: tuple[ChatTurn, ...] = ()
    text: str | None = None
    question: str
    token_count: int
    links: tuple[Link, ...] = ()
    engine: str = Field(
        default="", description="Engine of the cascade that it was built for; its profile's name"
    )
    unknown_words: int = Field(default=0, ge=0, description="Words of the question that no vocabulary holds")
    grammar: str | None = Field(
        default=None, description="Output grammar (Lark) that holds the model to the schema, if it has one"
    )
    context_used: int = Field(default=0, description="Past exchanges that stand in the prompt")
    truncation: tuple[str, ...] = Field(
        default=(), description="What was dropped to fit the budget, in words"
    )
    schema_fingerprint: str
    schema_cached: bool = Field(default=False, description="The schema was at hand and not asked for")
    caller: Caller | None = Field(default=None, description="Whose schema it was built from")


class Clarification(Message):
    """One specific question back instead of a guess."""

    question: str
    kind: Literal["entity", "date", "project", "missing_parameter", "term", "disagreement"]
    options: tuple[str, ...] = ()


class CannotAnswer(Message):
    """An honest refusal: outside of what the data or the model can answer."""

    reason: Literal["out_of_scope", "not_understood", "low_confidence", "uncompilable"]
    message: str


class SqlCandidate(Message):
    """SQL that a generation stands for, before any check."""

    sql: str
    query_spec: str | None = None
    unused: tuple[str, ...] = Field(
        default=(), description="Names, numbers and dates that the question says and the statement leaves out"
    )


# Clarification and CannotAnswer differ by their fields; extra="forbid" keeps the union unambiguous.
BuiltPrompt = Prompt | Clarification | CannotAnswer
Interpretation = SqlCandidate | CannotAnswer
