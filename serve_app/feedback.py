"""What becomes of a user's word on an answer: a note, or a pair that can become a verified example."""

import uuid
from datetime import datetime
from typing import Any

from serve_app.api_models import FeedbackRequest
from serve_app.contracts import (
    Caller,
    Feedback,
    FeedbackStatus,
    NumberedExchange,
    RejectedSql,
    ValidSql,
)
from serve_app.errors import InvalidRequest
from serve_app.pipeline import rejection
from serve_app.stages import Conversations, SqlValidator


async def answered_exchange(
    conversations: Conversations, request: FeedbackRequest, caller: Caller
) -> NumberedExchange:
    """The exchange that feedback is about.

    Raises:
        InvalidRequest: there is none, or a corrected statement comes with praise.
        ConversationNotFound, StoreUnavailable.
    """
    if request.sql is not None and request.verdict == "up":
        raise InvalidRequest("A right answer needs no other statement. Send sql only with the verdict down.")
    found = await conversations.exchange(request.conversation_id, caller, request.exchange)
    if found is None:
        which = "no answer yet" if request.exchange is None else f"no exchange {request.exchange}"
        raise InvalidRequest(
            f"The conversation has {which}. Send the answer's metadata.exchange, or leave exchange out "
            "for the last."
        )
    return found


async def accepted_statement(validator: SqlValidator, sql: str, caller: Caller) -> ValidSql:
    """The validator's accepted form of a statement that was answered with before.

    Raises:
        ValidationFailed: it may not run any more.
    """
    verdict = await validator.validate(sql, caller)
    if isinstance(verdict, RejectedSql):
        raise rejection(verdict)
    return verdict


def make_feedback(
    request: FeedbackRequest,
    caller: Caller,
    found: NumberedExchange,
    statement: ValidSql | None,
    now: datetime,
    needs_operator: bool,
) -> Feedback:
    """The record to keep; ``statement`` makes a pair of it. A follow-up always waits for an operator."""
    exchange = found.exchange
    status: FeedbackStatus = "noted"
    if statement is not None:
        status = "pending" if needs_operator or found.position > 0 else "accepted"
    return Feedback(
        id=str(uuid.uuid4()),
        conversation_id=request.conversation_id,
        position=found.position,
        caller=caller,
        verdict=request.verdict,
        question=exchange.question,
        sql=statement.sql if statement else None,
        row_cap=statement.row_cap if statement else None,
        # The specification is that of the answer, not of what corrects it.
        query_spec=exchange.query_spec if statement and request.sql is None else None,
        comment=request.comment,
        asked_on=exchange.at.astimezone(now.tzinfo).date(),
        given_at=now,
        status=status,
        decided_by=f"user {caller.user_id}"[:200] if status == "accepted" else None,
        decided_at=now if status == "accepted" else None,
    )


def feedback_record(feedback: Feedback) -> dict[str, Any]:
    """The line of the log: who said what of which answer."""
    return {
        "feedback_id": feedback.id,
        "user_id": feedback.caller.user_id,
        "organization_id": feedback.caller.organization_id,
        "conversation_id": feedback.conversation_id,
        "exchange": feedback.position,
        "verdict": feedback.verdict,
        "outcome": feedback.status,
        "question": feedback.question,
        "sql": feedback.sql,
    }
