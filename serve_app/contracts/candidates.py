"""Several statements for one question."""

from pydantic import Field

from serve_app.contracts.message import Message
from serve_app.contracts.prompts import SqlCandidate


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
