"""The prompt builder's core: a fresh schema, and a profile that speaks its model's language both ways."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from deployments.prompt_builder.caller_schemas import CallerSchemas, SchemaSource
from deployments.prompt_builder.verified.answers import VerifiedAnswers
from serve_app.contracts import (
    BuiltPrompt,
    CannotAnswer,
    ConversationContext,
    Interpretation,
    Prompt,
    Proposal,
    Question,
    SchemaSnapshot,
    StageHealth,
)
from serve_app.errors import InvalidRequest, PlumblineError

_log = logging.getLogger("plumbline.prompt_builder")
_UNREADABLE = "I could not turn that into a query. Try asking it in other words."


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
        later: Mapping[str, PromptProfile] | None = None,
    ) -> None:
        """``later``: the profiles of the cascade's further engines, by the engine's name."""
        self._profile = profile
        self._later = dict(later or {})
        self._verified = verified
        self._schemas = CallerSchemas(schema_source, schema_reuse_s, clock)

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        repair: tuple[str, str] | None = None,
        engine: str = "",
    ) -> BuiltPrompt:
        """Build an engine's prompt. ``repair`` is (rejected SQL, reason) of the attempt before.

        Raises:
            InvalidRequest: the question is empty or too long for the model.
            DatabaseUnavailable: the schema cannot be read.
            PermissionDenied: the caller may see none.
        """
        if not question.text.strip():
            raise InvalidRequest("The question is empty. Ask something about your data.")
        caller = question.caller
        cached = self._schemas.is_at_hand(caller)
        profile = self._later.get(engine, self._profile)
        built = await profile.build(question, context, await self._schemas.of(caller), repair)
        if not isinstance(built, Prompt):
            return built
        return built.model_copy(update={"schema_cached": cached, "engine": engine, "caller": caller})

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        """The statement of a verified example of the question's shape; None if there is none.

        Raises:
            DatabaseUnavailable: the schema cannot be read.
        """
        if self._verified is None:
            return None
        return await self._verified.propose(question, context, await self._schemas.of(question.caller))

    async def interpret(self, prompt: Prompt, outputs: tuple[str, ...]) -> tuple[Interpretation, ...]:
        """What an engine's outputs for its prompt mean, each by itself."""
        profile = self._later.get(prompt.engine, self._profile)
        schema = await self._schemas.of(prompt.caller)
        return tuple([await _meaning(profile, prompt, output, schema) for output in outputs])

    async def forget_schema(self) -> None:
        """Ask for the schema again at the next question: it has changed."""
        self._schemas.forget()

    async def health(self) -> StageHealth:
        try:
            schema = await self._schemas.of(None)
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


async def _meaning(
    profile: PromptProfile, prompt: Prompt, output: str, schema: SchemaSnapshot
) -> Interpretation:
    """A text that a reader stumbles over is its own failure, not that of the other candidates."""
    try:
        return await profile.interpret(prompt, output, schema)
    except PlumblineError:
        raise
    except Exception:
        _log.exception("an output could not be read; it counts as no query")
        return CannotAnswer(reason="uncompilable", message=_UNREADABLE)
