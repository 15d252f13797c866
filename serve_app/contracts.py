"""The messages that stages exchange. Frozen, typed, and only here.

Every message crosses a process border, so each holds plain data: no handles, no tensors, no database types.
Verdicts are values (``ValidSql | RejectedSql``); errors are for what the caller cannot act on
(`serve_app.errors`).
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Base of every stage message: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Who asks what


class Caller(Message):
    """Who asks. Stages enforce by it; nothing in the question's text can change it."""

    user_id: str = Field(min_length=1, max_length=200)
    organization_id: str | None = Field(default=None, max_length=200)
    policy: str = Field(default="default", description="Name of the validator policy under configs/policies/")
    credential_id: str | None = Field(
        default=None, description="Id of the API key that was shown, for the audit log; no secret"
    )


class Question(Message):
    """One question on its way through the graph."""

    text: str
    caller: Caller
    request_id: str
    conversation_id: str | None = None
    asked_at: datetime = Field(description="Timezone-aware instant; its date is 'today' for relative dates")


# Conversations


class Exchange(Message):
    """One answered (or refused, or clarified) question of a conversation."""

    question: str
    sql: str | None = None
    query_spec: str | None = Field(
        default=None, description="Compact query specification, if the profile uses one"
    )
    answer: str | None = Field(
        default=None, description="Short sentence told to the user, a clarification included"
    )
    kind: Literal["answer", "clarification", "refusal", "error"] = "answer"
    row_count: int | None = None
    at: datetime


class ConversationContext(Message):
    """What a question may refer back to: the last exchanges, oldest first."""

    conversation_id: str
    exchanges: tuple[Exchange, ...] = ()
    total_exchanges: int = 0


class NumberedExchange(Message):
    """An exchange and its place in its conversation, from 0."""

    position: int = Field(ge=0)
    exchange: Exchange


FeedbackStatus = Literal["noted", "pending", "accepted", "rejected"]


class Feedback(Message):
    """What a user said of an answer. With a statement it can become a verified example.

    ``noted``: nothing to decide; ``pending``: waits for an operator; the others are an operator's word.
    """

    id: str
    conversation_id: str
    position: int = Field(ge=0, description="Place of the exchange in its conversation, from 0")
    caller: Caller
    verdict: Literal["up", "down"]
    question: str
    sql: str | None = Field(default=None, description="The statement that answers the question")
    row_cap: int | None = Field(default=None, description="LIMIT that is the validator's, not the question's")
    query_spec: str | None = None
    comment: str | None = None
    asked_on: date = Field(description="'Today' of the question, for its relative dates")
    given_at: datetime
    status: FeedbackStatus
    decided_by: str | None = None
    decided_at: datetime | None = None

    @property
    def is_follow_up(self) -> bool:
        """Whether the question came after others, so that it may not stand on its own."""
        return self.position > 0


class VerifiedExample(Message):
    """An accepted pair of question and statement."""

    id: str
    question: str
    sql: str
    row_cap: int | None = Field(default=None, description="LIMIT that is the validator's, not the question's")
    query_spec: str | None = None
    organization_id: str | None = Field(default=None, description="Whose pair it is; None: everyone's")
    asked_on: date


# Schema


class ForeignKey(Message):
    """Columns that name a row of another table."""

    columns: tuple[str, ...]
    referenced_table: str
    referenced_columns: tuple[str, ...]


class Column(Message):
    """A column as the assistant may see it, with what is known of its values."""

    name: str
    type: str = Field(description="PostgreSQL type as format_type prints it, e.g. numeric(14,2)")
    nullable: bool
    comment: str | None = None
    enum_values: tuple[str, ...] = Field(default=(), description="Labels of an enum type, in order")
    sample_values: tuple[str, ...] = Field(
        default=(),
        description="Known values of a text column, most frequent first; complete only if values_complete",
    )
    values_complete: bool = False


class Table(Message):
    """A table as the assistant may see it."""

    name: str
    comment: str | None = None
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    row_estimate: int = 0

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)


class ColumnStatistics(Message):
    """What the database knows of a column's values beyond the schema; None where it was never analysed."""

    distinct: int | None = Field(default=None, description="Different values, estimated by the planner")
    null_fraction: float | None = None
    mean_bytes: int | None = Field(default=None, description="Average stored width of a value")
    allowed: tuple[str, ...] = Field(
        default=(), description="The list of a CHECK constraint on this column alone"
    )


class SchemaSnapshot(Message):
    """What the assistant's login role may see, read from the catalogs."""

    tables: tuple[Table, ...]
    overloaded: tuple[str, ...] = Field(
        default=(),
        description="Names of PostgreSQL's functions and operators that the database gives its own as well",
    )
    fingerprint: str = Field(description="Stable hash of everything above; stages cache by it")
    taken_at: datetime

    def table(self, name: str) -> Table | None:
        return next((t for t in self.tables if t.name == name), None)


# Prompt


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


# Generation


class SamplingParams(Message):
    """How tokens are chosen, and how many."""

    max_new_tokens: int = Field(default=512, ge=1, le=8192)
    temperature: float = Field(default=0.1, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    top_k: int = Field(default=50, ge=0)
    candidates: int = Field(default=1, ge=1, le=32, description="Sequences returned, best first")
    seed: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | None = Field(
        default=None, description="Output grammar (Lark syntax), if the engine supports one"
    )


class GenerationRequest(Message):
    """Prompts in; the generator knows nothing of SQL."""

    request_id: str
    engine: str = Field(default="", description="Engine of the cascade, its profile's name; empty: the first")
    turns: tuple[ChatTurn, ...] = ()
    text: str | None = None
    params: SamplingParams = SamplingParams()
    timeout_s: float = Field(default=30.0, gt=0)


class MemoryUsage(Message):
    """Device memory in bytes; on a CPU the process's resident set."""

    device: str
    before_bytes: int
    after_bytes: int
    peak_bytes: int


class GeneratedText(Message):
    """One output of the model."""

    text: str
    token_count: int
    mean_logprob: float | None = Field(default=None, description="Mean log-probability per generated token")
    min_logprob: float | None = Field(default=None, description="Log-probability of the least likely token")
    finish_reason: Literal["stop", "length", "cancelled"]

    @property
    def logprob(self) -> float | None:
        """Log-probability of the whole text; None if the engine does not tell."""
        return None if self.mean_logprob is None else self.mean_logprob * self.token_count


class Generation(Message):
    """The outputs for one prompt, best first, and what they cost."""

    texts: tuple[GeneratedText, ...] = Field(min_length=1)
    prompt_tokens: int
    engine: str
    model: str
    queue_ms: float
    inference_ms: float
    batch_size: int
    memory: MemoryUsage


class TokenChunk(Message):
    """A piece of streamed output."""

    text: str


# Validation


class Violation(Message):
    """One reason why a statement may not run."""

    rule: str
    reason: str = Field(description="For the repair prompt and the log: exact, with names")
    message: str = Field(description="For the user: one plain sentence")
    position: int | None = Field(default=None, description="Offset into the SQL text, in characters")


class ValidSql(Message):
    """The verdict on a statement that may run."""

    accepted: Literal[True] = True
    sql: str = Field(
        description="Regenerated from the checked tree, with the row cap applied; the only text to run"
    )
    tables: tuple[str, ...]
    row_cap: int
    cap_applied: bool = Field(description="True if the cap was added or lowered, so more rows may exist")
    ordered: bool = Field(default=False, description="The statement itself says in which order its rows come")


class RejectedSql(Message):
    """The verdict on a statement that may not run."""

    accepted: Literal[False] = False
    violations: tuple[Violation, ...] = Field(min_length=1)

    @property
    def first(self) -> Violation:
        return self.violations[0]


Verdict = Annotated[ValidSql | RejectedSql, Field(discriminator="accepted")]


# Execution


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


# Candidates


class CandidateGroup(Message):
    """Candidates of one generation that give the same rows."""

    sql: str = Field(description="Of the likeliest of them")
    query_spec: str | None = None
    statements: int = Field(description="Different statements among them")
    share: float = Field(ge=0.0, le=1.0, description="Their part of the probability of all candidates")
    row_count: int | None = Field(description="None if unknown; at most the small limit")


class Proposal(Message):
    """What an engine that does not generate answers with."""

    candidate: SqlCandidate
    confidence: float = Field(ge=0.0, le=1.0, description="Probability that the statement is right")
    engine: str = Field(min_length=1, description="Kind of engine, told in metadata and metrics")
    source: str | None = Field(
        default=None, description="What it was made from, e.g. a verified example's id"
    )


class CandidateGroups(Message):
    """How far the candidates of a generation agree. More than one group is a disagreement."""

    count: int = Field(description="Texts that the model gave")
    statements: int = Field(description="Different statements that they stand for")
    agreement: float = Field(ge=0.0, le=1.0, description="Share of the first group, from which the answer is")
    groups: tuple[CandidateGroup, ...] = Field(description="The heaviest first")


# Health


class StageHealth(Message):
    """Whether a stage can serve, and what it says about itself."""

    stage: str
    ok: bool
    detail: str = Field(description="One sentence; never a DSN, a path or a stack trace")
    figures: dict[str, float | int | str | bool | None] = {}
