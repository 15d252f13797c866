"""What a question may refer back to: the memory of conversations, each belonging to one caller."""

import uuid

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.store import ConversationStore
from serve_app.contracts import Caller, ConversationContext, Exchange, Question, StageHealth
from serve_app.errors import StoreUnavailable

STAGE = "conversations"


class ConversationMemory:
    """Conversations of callers. A conversation belongs to the user and organization that began it."""

    def __init__(self, url: str, config: ConversationsConfig | None = None) -> None:
        self._store = ConversationStore(url, config)

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

    async def remember(self, conversation_id: str, caller: Caller, exchange: Exchange) -> None:
        """Store the exchange after all earlier ones, wholly or not at all.

        Raises:
            ConversationNotFound: the id is another caller's conversation.
            StoreUnavailable: the store is down or its disk is full; the answer itself is not affected.
        """
        await self._store.append(conversation_id, caller, exchange)

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        """Forget every exchange. The id stays valid, so that the user's next question begins anew under it.

        Raises:
            ConversationNotFound, StoreUnavailable.
        """
        await self._store.clear(conversation_id, caller)

    async def health(self) -> StageHealth:
        try:
            await self._store.check()
        except StoreUnavailable:
            return StageHealth(stage=STAGE, ok=False, detail="The conversation store cannot be reached.")
        return StageHealth(stage=STAGE, ok=True, detail="The conversation store answers.")

    async def close(self) -> None:
        await self._store.close()
