"""Asking a model in this process: the way of a question without HTTP, stages or checks of the statement."""

import time
import uuid
from datetime import UTC, datetime

from deployments.generator.engine import Engine
from deployments.prompt_builder.builder import PromptProfile
from serve_app.contracts import (
    Caller,
    CannotAnswer,
    Clarification,
    ConversationContext,
    Exchange,
    GenerationRequest,
    Interpretation,
    Prompt,
    Question,
    SamplingParams,
    SchemaSnapshot,
)
from serve_app.errors import PlumblineError
from serve_app.evaluation.client import Reply

TIMEOUT_S = 60.0


class LocalEndpoint:
    """A prompt profile and an engine behind the same call as a server's `Endpoint`."""

    def __init__(
        self, profile: PromptProfile, engine: Engine, schema: SchemaSnapshot, sampling: SamplingParams
    ) -> None:
        self._profile = profile
        self._engine = engine
        self._schema = schema
        self._sampling = sampling
        self._conversations: dict[str, tuple[Exchange, ...]] = {}

    async def ask(self, question: str, conversation_id: str | None = None) -> Reply:
        started = time.perf_counter()
        conversation = conversation_id or uuid.uuid4().hex
        past = self._conversations.get(conversation, ())
        asked = Question(
            text=question,
            caller=Caller(user_id="evaluation"),
            request_id=uuid.uuid4().hex,
            conversation_id=conversation,
            asked_at=datetime.now(UTC),
        )
        context = ConversationContext(conversation_id=conversation, exchanges=past, total_exchanges=len(past))
        try:
            outcome = await self._outcome(asked, context)
        except PlumblineError as error:
            outcome = error
        exchange, reply = _told(asked, outcome, conversation, (time.perf_counter() - started) * 1000)
        self._conversations[conversation] = (*past, exchange)
        return reply

    async def _outcome(
        self, question: Question, context: ConversationContext
    ) -> Interpretation | Clarification | PlumblineError:
        """The first candidate that is a statement, unless the best says that it is out of scope."""
        built = await self._profile.build(question, context, self._schema, None)
        if not isinstance(built, Prompt):
            return built
        request = GenerationRequest(
            request_id=question.request_id,
            turns=built.turns,
            text=built.text,
            params=self._sampling,
            timeout_s=TIMEOUT_S,
        )
        generation = await self._engine.submit(request)
        readings = [
            await self._profile.interpret(built, text.text, self._schema) for text in generation.texts
        ]
        if isinstance(readings[0], CannotAnswer) and readings[0].reason == "out_of_scope":
            return readings[0]
        return next((r for r in readings if not isinstance(r, CannotAnswer)), readings[0])


def _told(
    question: Question,
    outcome: Interpretation | Clarification | PlumblineError,
    conversation: str,
    latency_ms: float,
) -> tuple[Exchange, Reply]:
    """What the conversation keeps and what the caller hears."""
    past = Exchange(question=question.text, at=question.asked_at)
    reply = Reply(kind="answer", conversation_id=conversation, latency_ms=latency_ms)
    match outcome:
        case Clarification():
            asked_back = {"kind": "clarification", "answer": outcome.question}
            return past.model_copy(update=asked_back), reply.model_copy(
                update={"kind": "clarification", "text": outcome.question}
            )
        case CannotAnswer():
            refused = {"kind": "refusal", "text": outcome.message}
            return past.model_copy(update={"kind": "refusal"}), reply.model_copy(update=refused)
        case PlumblineError():
            failed = {"kind": "error", "error_type": outcome.type, "text": outcome.message}
            return past.model_copy(update={"kind": "error"}), reply.model_copy(update=failed)
    meant = {"sql": outcome.sql, "query_spec": outcome.query_spec}
    return past.model_copy(update=meant), reply.model_copy(update={"sql": outcome.sql})
