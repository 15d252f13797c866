"""What the pipeline tells while a question is on its way; the SSE stream is made of these."""

from collections.abc import Awaitable, Callable
from typing import Literal

from pydantic import Field

from serve_app.contracts import CandidateGroups, CannotAnswer, Clarification, ExecutionResult, Message
from serve_app.trace import StageName


class Answer(Message):
    """The end of a question's way. ``result`` is set exactly for an answer with rows."""

    conversation_id: str
    kind: Literal["answer", "clarification", "refusal"]
    sentence: str
    sql: str | None = None
    result: ExecutionResult | None = None
    clarification: Clarification | None = None
    refusal: CannotAnswer | None = None
    caveat: str | None = Field(
        default=None, description="Set where the answer is unsure; ends the sentence too"
    )
    candidates: CandidateGroups | None = Field(
        default=None, description="How the model's candidates differ: what a question back could offer"
    )


class StageEvent(Message):
    """A stage begins; ``attempt`` counts from 1 and grows with each repair."""

    stage: StageName
    attempt: int


class TokenEvent(Message):
    """A piece of the model's output."""

    text: str


class SqlEvent(Message):
    """The statement that was chosen, checked and run."""

    sql: str


class RowsEvent(Message):
    """Its rows, before the sentence about them."""

    result: ExecutionResult


class DoneEvent(Message):
    """The whole answer; the last event."""

    answer: Answer


Event = StageEvent | TokenEvent | SqlEvent | RowsEvent | DoneEvent
Emit = Callable[[Event], Awaitable[None]]
