"""The prompt builder's core: a fresh schema, and a profile that speaks its model's language both ways."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from deployments.prompt_builder.verified.answers import VerifiedAnswers
from serve_app.contracts import (
    BuiltPrompt,
    ConversationContext,
    Interpretation,
    Prompt,
    Proposal,
    Question,
    SchemaSnapshot,
    StageHealth,
)
from serve_app.errors import InvalidRequest, PlumblineError

SchemaSource = Callable[[], Awaitable[SchemaSnapshot]]


class PromptProfile(Protocol):
    """How one kind of model is asked, and what its output means."""

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        schema: SchemaSnapshot,
        repair: tuple[str, str] | None,
    ) -> BuiltPrompt: ...

    async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> Interpretation: ...


class PromptBuilderCore:
    """Question to prompt and output to SQL, over the live schema (`serve_app.stages.PromptBuilder`)."""

    def __init__(
        self,
        schema_source: SchemaSource,
        profile: PromptProfile,
        schema_reuse_s: float = 30.0,
        verified: VerifiedAnswers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._schema_source = schema_source
        self._profile = profile
        self._schema_reuse_s = schema_reuse_s
        self._verified = verified
        self._clock = clock
        self._schema: SchemaSnapshot | None = None
        self._fetched_at = 0.0
        self._fetching = asyncio.Lock()

    async def build(
        self, question: Question, context: ConversationContext, repair: tuple[str, str] | None = None
    ) -> BuiltPrompt:
        """Build the prompt. ``repair`` is (rejected SQL, reason) of the attempt before.

        Raises:
            InvalidRequest: the question is empty or too long for the model.
            DatabaseUnavailable: the schema cannot be read.
        """
        if not question.text.strip():
            raise InvalidRequest("The question is empty. Ask something about your data.")
        cached = self._schema_is_fresh()
        built = await self._profile.build(question, context, await self._current_schema(), repair)
        return built.model_copy(update={"schema_cached": cached}) if isinstance(built, Prompt) else built

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        """The statement of a verified example of the question's shape; None if there is none.

        Raises:
            DatabaseUnavailable: the schema cannot be read.
        """
        if self._verified is None:
            return None
        return await self._verified.propose(question, context, await self._current_schema())

    async def interpret(self, prompt: Prompt, output: str) -> Interpretation:
        return await self._profile.interpret(prompt, output, await self._current_schema())

    async def health(self) -> StageHealth:
        try:
            schema = await self._current_schema()
        except PlumblineError as error:
            return StageHealth(stage="prompt_builder", ok=False, detail=error.message)
        if not schema.tables:
            return StageHealth(
                stage="prompt_builder", ok=False, detail="The database shows no tables to this login."
            )
        figures: dict[str, float | int | str | bool | None] = {
            "tables": len(schema.tables),
            "schema_fingerprint": schema.fingerprint,
        }
        return StageHealth(
            stage="prompt_builder", ok=True, detail="Schema and domain pack are loaded.", figures=figures
        )

    async def _current_schema(self) -> SchemaSnapshot:
        async with self._fetching:
            # Whoever waited for the lock finds the snapshot that the one before has fetched.
            if self._schema is None or not self._schema_is_fresh():
                self._schema = await self._schema_source()
                self._fetched_at = self._clock()
            return self._schema

    def _schema_is_fresh(self) -> bool:
        return self._schema is not None and self._clock() - self._fetched_at < self._schema_reuse_s
