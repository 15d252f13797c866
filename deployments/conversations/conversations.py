"""What a question may refer back to: the memory of conversations, each belonging to one caller."""

import uuid

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.feedback import Decision, FeedbackStore
from deployments.conversations.store import ConversationStore
from serve_app.contracts import (
    Caller,
    ConversationContext,
    Exchange,
    Feedback,
    FeedbackStatus,
    NumberedExchange,
    Question,
    StageHealth,
    VerifiedExample,
)
from serve_app.errors import StoreUnavailable

STAGE = "conversations"


class ConversationMemory:
    """Conversations of callers. A conversation belongs to the user and organization that began it."""

    def __init__(self, url: str, config: ConversationsConfig | None = None) -> None:
        self._store = ConversationStore(url, config)
        self._feedback = FeedbackStore(self._store)
        # Why the last exchange was not kept, until one is.
        self._unsaved: StoreUnavailable | None = None

    async def context(self, question: Question, limit: int) -> ConversationContext:
        """The last ``limit`` exchanges, oldest first; a new id if the question has none.

        A new conversation is not stored before its first exchange, so it can begin while the store is down.

        Raises:
            ConversationNotFound: the id is not one of this caller's conversations.
            StoreUnavailable.
        """
        if question.conversation_id is None:
            return ConversationContext(conversation_id=str(uuid.uuid4()))
        exchanges, total = await self._store.last(question.conversation_id, question.caller, limit)
        return ConversationContext(
            conversation_id=question.conversation_id, exchanges=exchanges, total_exchanges=total
        )

    async def remember(
        self, conversation_id: str, caller: Caller, exchange: Exchange, key: str | None = None
    ) -> int:
        """Store the exchange after all earlier ones, wholly or not at all; its position from 0.

        A second call with the same ``key`` stores nothing and tells the position of the first.

        Raises:
            ConversationNotFound: the id is another caller's conversation.
            StoreUnavailable: the store is down or its disk is full; the answer itself is not affected.
        """
        try:
            position = await self._store.append(conversation_id, caller, exchange, key)
        except StoreUnavailable as error:
            self._unsaved = error
            raise
        self._unsaved = None
        return position

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        """Forget every exchange. The id stays valid, so that the user's next question begins anew under it.

        Feedback on them stays: it was given to be kept.

        Raises:
            ConversationNotFound, StoreUnavailable.
        """
        await self._store.clear(conversation_id, caller)

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        """One exchange, the last if ``position`` is None; None if there is none there.

        Raises:
            ConversationNotFound, StoreUnavailable.
        """
        return await self._store.exchange(conversation_id, caller, position)

    async def give_feedback(self, feedback: Feedback) -> None:
        """Store feedback in place of an undecided one on the same exchange.

        Raises:
            StoreUnavailable.
        """
        await self._feedback.add(feedback)

    async def verified(self) -> tuple[VerifiedExample, ...]:
        """The accepted pairs, newest first. Raises StoreUnavailable."""
        return await self._feedback.verified()

    async def list_feedback(self, status: FeedbackStatus | None = None) -> tuple[Feedback, ...]:
        """What users said, oldest first. Raises StoreUnavailable."""
        return await self._feedback.list(status)

    async def decide_feedback(self, feedback_id: str, decision: Decision) -> Feedback | None:
        """Accept or reject a pair; None if there is no such feedback.

        Raises:
            InvalidRequest: the feedback holds no pair, or one that needs a question of its own.
            StoreUnavailable.
        """
        return await self._feedback.decide(feedback_id, decision)

    async def health(self) -> StageHealth:
        try:
            await self._store.check()
        except StoreUnavailable as error:
            return StageHealth(stage=STAGE, ok=False, detail=error.message)
        if self._unsaved is not None:
            # Answers go on without it.
            return StageHealth(
                stage=STAGE, ok=True, detail=f"The last exchange was not kept. {self._unsaved.message}"
            )
        return StageHealth(stage=STAGE, ok=True, detail="The conversation store answers.")

    async def close(self) -> None:
        await self._store.close()
