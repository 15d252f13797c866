"""Feedback in the conversation store: what users said of answers, and which pairs an operator accepted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from deployments.conversations.store import ConversationStore, storable
from deployments.conversations.tables import feedback as table
from serve_app.contracts import Caller, Feedback, FeedbackStatus, VerifiedExample
from serve_app.errors import InvalidRequest

# Every accepted pair is held in memory by each prompt builder; older ones than these are not used.
MOST_VERIFIED = 5000

_OWN_FIELDS = tuple(name for name in Feedback.model_fields if name != "caller")


@dataclass(frozen=True, slots=True)
class Decision:
    """An operator's word on a pair.

    ``question`` replaces the user's wording; ``for_everyone`` offers the pair to all organizations.
    """

    accept: bool
    by: str
    at: datetime
    question: str | None = None
    for_everyone: bool = False


class FeedbackStore:
    """Rows of the feedback table; each method is one transaction and may raise StoreUnavailable."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    async def add(self, feedback: Feedback) -> None:
        """Store feedback in place of an undecided one of the same exchange; decided ones stay as they are."""
        values = {name: storable(getattr(feedback, name)) for name in _OWN_FIELDS}
        owner = feedback.caller
        async with self._store.transaction(write=True) as connection:
            await connection.execute(
                delete(table).where(
                    table.c.conversation_id == feedback.conversation_id,
                    table.c.position == feedback.position,
                    table.c.status.in_(("noted", "pending")),
                )
            )
            await connection.execute(
                insert(table).values(user_id=owner.user_id, organization_id=owner.organization_id, **values)
            )

    async def list(self, status: FeedbackStatus | None = None) -> tuple[Feedback, ...]:
        """All feedback, or that of one status, oldest first."""
        wanted = select(table).order_by(table.c.given_at, table.c.id)
        if status is not None:
            wanted = wanted.where(table.c.status == status)
        async with self._store.transaction(write=False) as connection:
            return tuple(_feedback(row) for row in await connection.execute(wanted))

    async def decide(self, feedback_id: str, decision: Decision) -> Feedback | None:
        """Set the status; None if there is no such feedback.

        Raises:
            InvalidRequest: it holds no pair, or its question came after others and has no wording of its own.
        """
        async with self._store.transaction(write=True) as connection:
            row = (await connection.execute(select(table).where(table.c.id == feedback_id))).first()
            if row is None:
                return None
            changes = _changes(_feedback(row), decision)
            await connection.execute(update(table).where(table.c.id == feedback_id).values(**changes))
            changed = (await connection.execute(select(table).where(table.c.id == feedback_id))).one()
        return _feedback(changed)

    async def verified(self) -> tuple[VerifiedExample, ...]:
        """The accepted pairs, newest first."""
        wanted = (
            select(table)
            .where(table.c.status == "accepted", table.c.sql.is_not(None))
            .order_by(table.c.decided_at.desc(), table.c.id)
            .limit(MOST_VERIFIED)
        )
        async with self._store.transaction(write=False) as connection:
            rows = (await connection.execute(wanted)).all()
        names = VerifiedExample.model_fields
        return tuple(VerifiedExample(**{name: getattr(row, name) for name in names}) for row in rows)


def _feedback(row: Row[Any]) -> Feedback:
    caller = Caller(user_id=row.user_id, organization_id=row.organization_id)
    return Feedback(caller=caller, **{name: getattr(row, name) for name in _OWN_FIELDS})


def _changes(feedback: Feedback, decision: Decision) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "status": "accepted" if decision.accept else "rejected",
        "decided_by": decision.by,
        "decided_at": decision.at,
    }
    if not decision.accept:
        return changes
    if feedback.sql is None:
        raise InvalidRequest(f"Feedback {feedback.id} holds no statement, so there is nothing to accept.")
    if feedback.is_follow_up and decision.question is None:
        raise InvalidRequest(
            f"The question of feedback {feedback.id} came after others in its conversation. "
            "Give it a wording that stands on its own with --question."
        )
    if decision.question is not None and decision.question != feedback.question:
        # The specification's values stand at places of the former wording.
        changes |= {"question": storable(decision.question), "query_spec": None}
    if decision.for_everyone:
        changes["organization_id"] = None
    return changes
