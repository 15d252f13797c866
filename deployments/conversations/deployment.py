"""The Conversations deployment: history of questions in a store of its own."""

from pathlib import Path

from ray import serve

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.conversations import ConversationMemory
from deployments.conversations.store import store_url
from serve_app.contracts import (
    Caller,
    ConversationContext,
    Exchange,
    Feedback,
    NumberedExchange,
    Question,
    StageHealth,
    VerifiedExample,
)
from serve_app.logging import configure_logging
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings import load_section
from serve_app.settings.tree import LoggingSettings, StoreSettings


class Conversations:
    """What a question may refer back to. Knows nothing of the target database."""

    def __init__(
        self,
        settings_file: Path | None,
        config: ConversationsConfig,
        data_folder: Path,
        logs: LoggingSettings,
    ) -> None:
        configure_logging(logs.level, logs.file, "Conversations")
        # Not all settings: the target database's password is not for this process.
        given = load_section("store", StoreSettings, file=settings_file).url
        data_folder.mkdir(parents=True, exist_ok=True)
        url = store_url(given.get_secret_value() if given else None, data_folder)
        self._core = ConversationMemory(url, config)

    async def context(self, question: Question, limit: int) -> ConversationContext:
        return await self._core.context(question, limit)

    async def remember(
        self, conversation_id: str, caller: Caller, exchange: Exchange, key: str | None = None
    ) -> int:
        return await self._core.remember(conversation_id, caller, exchange, key)

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        await self._core.clear(conversation_id, caller)

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        return await self._core.exchange(conversation_id, caller, position)

    async def give_feedback(self, feedback: Feedback) -> None:
        await self._core.give_feedback(feedback)

    async def verified(self) -> tuple[VerifiedExample, ...]:
        return await self._core.verified()

    async def health(self) -> StageHealth:
        return await self._core.health()

    async def __del__(self) -> None:
        await self._core.close()


ConversationsDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(Conversations)
