"""Statements that run, and what they gave."""

from typing import Any, Literal

from pydantic import Field

from serve_app.contracts.callers import Caller
from serve_app.contracts.message import Message
from serve_app.contracts.validation import ValidSql

SemanticType = Literal[
    "currency", "percent", "date", "datetime", "count", "number", "text", "boolean", "id", "json"
]


class ColumnInfo(Message):
    """A column of a result."""

    name: str
    database_type: str
    semantic_type: SemanticType


class ExecutionRequest(Message):
    """A checked statement to run for a caller."""

    request_id: str
    statement: ValidSql
    caller: Caller
    timeout_s: float = Field(gt=0)


class ExecutionResult(Message):
    """Rows as JSON-safe values: ISO 8601 dates, decimals as strings only where a float would lose a cent."""

    columns: tuple[ColumnInfo, ...]
    rows: tuple[tuple[Any, ...], ...]
    row_count: int
    total_count: int | None = Field(
        description="Rows of the whole result; None if more than the counting bound"
    )
    truncated: bool
    truncated_by: Literal["rows", "bytes"] | None = None
    execution_ms: float


class TrialRequest(Message):
    """Checked statements for the same question, to be run under small limits and compared."""

    request_id: str
    statements: tuple[ValidSql, ...] = Field(min_length=1)
    caller: Caller
    timeout_s: float = Field(gt=0, description="Time limit of all together")


class Tried(Message):
    """A statement that ran within the small limits. Equal digests are equal rows."""

    digest: str = Field(
        description="Of the rows as a multiset; columns by their values, whatever their names"
    )
    order_digest: str | None = Field(
        description="Of the rows as a sequence; None where the order says nothing"
    )
    row_count: int = Field(ge=0, description="Rows seen; the small limit if there are more")
    has_values: bool = Field(description="False if there are no rows, or nothing but NULL in them")
    result: ExecutionResult | None = Field(description="The whole result; None if it goes beyond the limits")


class TrialFailed(Message):
    """A statement that the database refused, or that took longer than a trial may.

    ``outdated``: it names what the database no longer has.
    """

    kind: Literal["failed", "denied", "timeout", "outdated"]
    message: str = Field(description="For the user: one plain sentence")
    detail: str = Field(description="For the repair prompt and the log")


TrialOutcome = Tried | TrialFailed
