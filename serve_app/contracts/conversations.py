"""What conversations keep, and what their users say of answers."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from serve_app.contracts.callers import Caller
from serve_app.contracts.message import Message


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
