"""Asking a model in this process: the way of a question over plain stages, without HTTP and Ray."""

import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from deployments.generator.engine import Engine
from deployments.prompt_builder.builder import PromptBuilderCore, PromptProfile
from serve_app.contracts import (
    Caller,
    ConversationContext,
    Exchange,
    Feedback,
    Generation,
    GenerationRequest,
    NumberedExchange,
    Question,
    SchemaSnapshot,
    StageHealth,
    TokenChunk,
    VerifiedExample,
)
from serve_app.errors import InvalidRequest, PlumblineError
from serve_app.evaluation.client import Reply
from serve_app.pipeline import EnginePlan, PipelineLimits, Stages, answer
from serve_app.stages import Executor, SqlValidator
from serve_app.trace import Trace

TIMEOUT_S = 60.0
USER = Caller(user_id="evaluation")


class LocalEndpoint:
    """A prompt profile and an engine behind the same call as a server's `Endpoint`.

    Candidates are checked, tried and chosen as a server does it.
    """

    def __init__(
        self,
        profile: PromptProfile,
        engine: Engine,
        schema: SchemaSnapshot,
        plan: EnginePlan,
        validator: SqlValidator,
        executor: Executor,
    ) -> None:
        async def known_schema(caller: Caller | None) -> SchemaSnapshot:
            return schema

        self._stages = Stages(
            _Memory(), PromptBuilderCore(known_schema, profile), _Local(engine), validator, executor
        )
        # What a model gets wrong is measured, not repaired or asked again.
        self._limits = PipelineLimits(max_retries=0, generation_timeout_s=TIMEOUT_S, engines=(plan,))

    async def ask(self, question: str, conversation_id: str | None = None) -> Reply:
        started = time.perf_counter()
        conversation = conversation_id or uuid.uuid4().hex
        asked = Question(
            text=question,
            caller=USER,
            request_id=uuid.uuid4().hex,
            conversation_id=conversation,
            asked_at=datetime.now(UTC),
        )
        trace = Trace(asked)
        reply = Reply(kind="answer", conversation_id=conversation, latency_ms=0.0)
        try:
            found = await answer(asked, self._stages, self._limits, trace)
        except PlumblineError as error:
            told: dict[str, object] = {"kind": "error", "error_type": error.type, "text": error.message}
        else:
            told = {"kind": found.kind, "text": found.sentence, "sql": found.sql}
        told |= {
            "engine": trace.engine,
            "model": trace.model,
            "confidence": trace.confidence,
            "features": trace.features,
        }
        return reply.model_copy(update=told | {"latency_ms": (time.perf_counter() - started) * 1000})


class _Memory:
    """Conversations in this process, for one user; all of an exchange's past is its context."""

    def __init__(self) -> None:
        self._past: dict[str, tuple[Exchange, ...]] = {}

    async def context(self, question: Question, limit: int) -> ConversationContext:
        conversation_id = question.conversation_id or question.request_id
        past = self._past.get(conversation_id, ())
        return ConversationContext(
            conversation_id=conversation_id, exchanges=past[-limit:], total_exchanges=len(past)
        )

    async def remember(self, conversation_id: str, caller: Caller, exchange: Exchange) -> int:
        past = self._past.get(conversation_id, ())
        self._past[conversation_id] = (*past, exchange)
        return len(past)

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        self._past.pop(conversation_id, None)

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        past = self._past.get(conversation_id, ())
        wanted = len(past) - 1 if position is None else position
        return NumberedExchange(position=wanted, exchange=past[wanted]) if 0 <= wanted < len(past) else None

    async def give_feedback(self, feedback: Feedback) -> None:
        raise InvalidRequest("An evaluation takes no feedback.")

    async def verified(self) -> tuple[VerifiedExample, ...]:
        return ()

    async def health(self) -> StageHealth:
        return StageHealth(stage="conversations", ok=True, detail="In memory.")


class _Local:
    """An engine of this process as the Generator stage."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def generate(self, request: GenerationRequest) -> Generation:
        return await self._engine.submit(request)

    def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        return self._engine.stream(request)

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        return await self._engine.count_tokens(texts)

    async def cancel(self, request_id: str) -> None:
        await self._engine.cancel(request_id)

    async def health(self) -> StageHealth:
        return await self._engine.health()
