"""What the HTTP routes do, without HTTP: one method a call, plain objects in and out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from serve_app.admission import Admission
from serve_app.api_models import (
    CallerFields,
    ChatRequest,
    ChatResponse,
    ClearRequest,
    FeedbackRequest,
    FeedbackResponse,
    HealthResponse,
    SqlRequest,
    StageReport,
    ValidateResponse,
    error_response,
)
from serve_app.audit.records import Auditor
from serve_app.auth.identity import Access, Identity
from serve_app.contracts import (
    Caller,
    ExecutionRequest,
    ExecutionResult,
    Question,
    RejectedSql,
    SchemaSnapshot,
    StageHealth,
    ValidSql,
)
from serve_app.edge import request_id_var
from serve_app.errors import (
    RESTARTING,
    AuditUnavailable,
    ConversationNotFound,
    ExecutionTimeout,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    PermissionDenied,
    PlumblineError,
    SchemaChanged,
)
from serve_app.events import Event, StageEvent
from serve_app.feedback import accepted_statement, answered_exchange, feedback_record, make_feedback
from serve_app.logging import log_error
from serve_app.metrics import Figures
from serve_app.pipeline import PipelineLimits, Stages, answer, answer_events, rejection
from serve_app.replies import answered, event_pair, result_data, result_metadata
from serve_app.sentences import answer_sentence
from serve_app.settings.edge import EdgeSettings
from serve_app.settings.tree import FeatureSettings, FeedbackSettings, LimitSettings
from serve_app.steps import forget_schema
from serve_app.trace import Trace

_log = logging.getLogger("plumbline.service")

# A stage that does not say how it is within this long counts as not serving.
HEALTH_TIMEOUT_S = 5.0


class ServiceConfig(BaseModel):
    """What the service needs of the settings; ``pipeline`` bounds one question, ``limits`` one replica."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: PipelineLimits = PipelineLimits()
    limits: LimitSettings = LimitSettings()
    edge: EdgeSettings = EdgeSettings()
    features: FeatureSettings = FeatureSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    access: Access = Access()
    model_enabled: bool = True
    time_zone: str = Field(default="UTC", description="Time zone of 'today'; the database's must be the same")


@dataclass(frozen=True)
class Reply:
    """A response body with its HTTP status and, under overload, when to come back."""

    status: int
    body: ChatResponse
    retry_after_s: float | None = None


class StreamRefused(Exception):
    """A stream failed before its first event; ``reply`` is what to send instead."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply)


class ChatService:
    """Answers questions over the stages, within the limits, counting and logging each."""

    def __init__(
        self,
        stages: Stages,
        config: ServiceConfig,
        figures: Figures,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        auditor: Auditor | None = None,
    ) -> None:
        limits = config.limits
        self._stages = stages
        self.config = config
        self.figures = figures
        self.admission = Admission(
            limits.max_concurrent_questions, limits.max_queued_questions, limits.retry_after_s
        )
        # Whoever waits longer for a place has too little of the deadline left for an answer.
        self._patience_s = config.pipeline.request_timeout_s / 2
        self._clock = clock
        self._auditor = auditor or Auditor()
        self._zone = ZoneInfo(config.time_zone)

    async def chat(self, request: ChatRequest, request_id: str, identity: Identity | None = None) -> Reply:
        """Answer one question; a failure on the way becomes a reply in the documented shape.

        Raises:
            PermissionDenied, InvalidRequest: the request is not the caller's to make.
        """
        trace = Trace(self._question(request, request_id, identity))
        try:
            self._check(request)
            self._auditor.asked(trace)
            async with self.admission.place(self._patience_s):
                finished = await answer(trace.question, self._stages, self.config.pipeline, trace)
        except Exception as error:
            return self._failed(error, trace)
        finally:
            recorded = self._auditor.question(trace)
        if not recorded:
            return self._failed(AuditUnavailable(), trace)
        self.figures.question(trace, None)
        return Reply(200, answered(finished, trace))

    async def chat_events(
        self, request: ChatRequest, request_id: str, identity: Identity | None = None
    ) -> AsyncIterator[tuple[str, str]]:
        """`chat` as (event name, JSON) pairs.

        Raises:
            StreamRefused: it failed before the first pair, so that it can still become an HTTP status; later
                failures come as an ``error`` event.
        """
        trace = Trace(self._question(request, request_id, identity))
        started = False
        try:
            self._check(request)
            self._auditor.asked(trace)
            async with (
                self.admission.place(self._patience_s),
                aclosing(self._events(trace)) as events,
            ):
                held: list[Event] = []
                async for event in events:
                    held.append(event)
                    # An unknown conversation shows only after the context stage began.
                    if not started and isinstance(event, StageEvent) and event.stage == "context":
                        continue
                    started = True
                    for ready in held:
                        yield event_pair(ready, trace)
                    held.clear()
        except Exception as error:
            reply = self._failed(error, trace)
            if not started:
                raise StreamRefused(reply) from error
            yield "error", reply.body.model_dump_json()
            return
        finally:
            self._auditor.question(trace)
        self.figures.question(trace, None)

    def _events(self, trace: Trace) -> Any:
        return answer_events(trace.question, self._stages, self.config.pipeline, trace)

    async def clear(self, request: ClearRequest, identity: Identity | None = None) -> str:
        caller = self.caller(request, identity)
        await self._stages.conversations.clear(request.conversation_id, caller)
        return request.conversation_id

    async def schema(self, refresh: bool, caller: Caller) -> SchemaSnapshot:
        """What the caller may see."""
        return await self._stages.executor.schema(refresh, caller)

    async def validate(self, request: SqlRequest, identity: Identity | None = None) -> ValidateResponse:
        verdict = await self._stages.validator.validate(request.sql, self.caller(request, identity))
        if isinstance(verdict, RejectedSql):
            return ValidateResponse(accepted=False, violations=[v.model_dump() for v in verdict.violations])
        return ValidateResponse(
            accepted=True, sql=verdict.sql, tables=list(verdict.tables), row_cap=verdict.row_cap
        )

    async def run_sql(self, request: SqlRequest, request_id: str, identity: Identity | None = None) -> Reply:
        """Check and run a person's SQL, exactly as the model's is."""
        caller = self.caller(request, identity)
        trace = Trace(Question(text=request.sql, caller=caller, request_id=request_id, asked_at=self._now()))
        violations: list[dict[str, Any]] = []
        try:
            self._auditor.asked(trace)
            async with self._in_time(ExecutionTimeout()), self.admission.place(self._patience_s):
                _, result = await self._checked_run(request.sql, caller, trace, violations)
            trace.outcome = "answer"
        except Exception as error:
            return self._failed(error, trace, is_question=False, violations=violations)
        finally:
            recorded = self._note_statement(trace)
        if not recorded:
            return self._failed(AuditUnavailable(), trace, is_question=False)
        body = ChatResponse(
            success=True,
            data=result_data(result),
            answer=answer_sentence(result),
            sql=trace.sql,
            execution_time_ms=result.execution_ms,
            metadata={**trace.metadata(), **result_metadata(result)},
        )
        return Reply(200, body)

    async def _checked_run(
        self, sql: str, caller: Caller, trace: Trace, violations: list[dict[str, Any]]
    ) -> tuple[ValidSql, ExecutionResult]:
        """Run a statement that passes the checks; the reasons of a rejection are added to ``violations``."""
        with trace.timed("validate"):
            verdict = await self._stages.validator.validate(sql, caller)
        if isinstance(verdict, RejectedSql):
            trace.verdict = verdict.first.rule
            violations.extend(violation.model_dump() for violation in verdict.violations)
            raise rejection(verdict)
        trace.verdict, trace.sql = "accepted", verdict.sql
        request = ExecutionRequest(
            request_id=trace.question.request_id,
            statement=verdict,
            caller=caller,
            timeout_s=self.config.pipeline.execution_timeout_s,
        )
        try:
            with trace.timed("execute"):
                result = await self._stages.executor.run(request)
        except (SchemaChanged, PermissionDenied):
            await forget_schema(self._stages)
            raise
        trace.note_result(result)
        return verdict, result

    async def feedback(
        self, request: FeedbackRequest, request_id: str, identity: Identity | None = None
    ) -> FeedbackResponse:
        """Keep a user's word on an answer of theirs.

        A corrected statement is kept only if it passes the checks and runs.

        Raises:
            InvalidRequest: no such exchange, or the parts of the request contradict each other.
            ConversationNotFound, ValidationFailed, ExecutionFailed, StoreUnavailable.
        """
        caller = self.caller(request, identity)
        late = Overloaded(RESTARTING, retry_after_s=self.config.limits.retry_after_s)
        async with self._in_time(late):
            return await self._feedback(request, request_id, caller)

    async def _feedback(self, request: FeedbackRequest, request_id: str, caller: Caller) -> FeedbackResponse:
        found = await answered_exchange(self._stages.conversations, request, caller)
        statement: ValidSql | None = None
        if request.sql is not None:
            question = Question(text=request.sql, caller=caller, request_id=request_id, asked_at=self._now())
            statement = await self._checked_by_running(Trace(question))
        elif request.verdict == "up" and found.exchange.sql is not None:
            statement = await accepted_statement(self._stages.validator, found.exchange.sql, caller)
        kept = make_feedback(
            request, caller, found, statement, self._now(), self.config.feedback.needs_operator
        )
        await self._stages.conversations.give_feedback(kept)
        _log.info("feedback", extra={"request_id": request_id, **feedback_record(kept)})
        if not self._auditor.feedback(kept, request_id):
            raise AuditUnavailable
        return FeedbackResponse(success=True, feedback_id=kept.id, status=kept.status, sql=kept.sql)

    @asynccontextmanager
    async def _in_time(self, late: PlumblineError) -> AsyncIterator[None]:
        """The block within the time of a whole question; ``late`` is raised when that is over."""
        timer = asyncio.timeout(self.config.pipeline.request_timeout_s)
        try:
            async with timer:
                yield
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise late from error

    async def _checked_by_running(self, trace: Trace) -> ValidSql:
        """Run a person's statement once, like any other; its rows are of no interest."""
        question = trace.question
        try:
            async with self.admission.place(self._patience_s):
                verdict, _ = await self._checked_run(question.text, question.caller, trace, [])
            trace.outcome = "answer"
        except PlumblineError as error:
            trace.outcome = error.type
            raise
        finally:
            self._note_statement(trace)
        return verdict

    def _note_statement(self, trace: Trace) -> bool:
        # Not "query": that is one line for each question.
        _log.info("sql", extra=trace.query_record())
        return self._auditor.statement(trace)

    async def health(self) -> HealthResponse:
        """Ask every stage how it is, at the same time."""
        # A direct engine lives in a stage that is asked anyway.
        stages = {name: stage for name, stage in self._stages._asdict().items() if name != "direct"}
        asked = await asyncio.gather(*(_stage_health(name, stage.health) for name, stage in stages.items()))
        reports = [StageReport(**health.model_dump()) for health in asked]
        if (fault := self._auditor.fault()) is not None:
            reports.append(StageReport(stage="audit", ok=not self._auditor.is_required, detail=fault))
        return HealthResponse(status="ok" if all(r.ok for r in reports) else "degraded", stages=reports)

    def metrics(self) -> dict[str, Any]:
        load = {"active": self.admission.active, "waiting": self.admission.waiting}
        return {**self.figures.report(), "questions": load}

    def caller(self, fields: CallerFields, identity: Identity | None) -> Caller:
        """Who asks: by the credential, or by the body where no credentials are asked for.

        Raises:
            Unauthenticated, PermissionDenied, InvalidRequest: see `Access.caller`.
        """
        try:
            return self.config.access.caller(identity, fields.user_id, fields.organization_id)
        except PermissionDenied:
            if identity is not None:
                self._auditor.denied(
                    identity.user_id, identity.credential_id, fields.organization_id, request_id_var.get()
                )
            raise

    def _now(self) -> datetime:
        return self._clock().astimezone(self._zone)

    def _question(self, request: ChatRequest, request_id: str, identity: Identity | None) -> Question:
        return Question(
            text=request.query,
            caller=self.caller(request, identity),
            request_id=request_id,
            conversation_id=request.conversation_id,
            asked_at=self._now(),
        )

    def _check(self, request: ChatRequest) -> None:
        limit = self.config.limits.max_question_chars
        if len(request.query) > limit:
            raise InvalidRequest(
                f"The question has {len(request.query):,} characters; at most {limit:,} are allowed."
            )
        if not self.config.model_enabled:
            raise ModelUnavailable(
                "The language model is switched off on this server. Ask your administrator to turn it on."
            )

    def _failed(self, raised: Exception, trace: Trace, is_question: bool = True, **metadata: Any) -> Reply:
        """The reply of a failure. A bug is logged with the question too, and told as an internal error."""
        error = raised if isinstance(raised, PlumblineError) else PlumblineError()
        trace.outcome = error.type
        if is_question:
            self.figures.question(trace, error.type)
        else:
            self.figures.error(error.type)
        question = trace.question
        conversation_id = trace.conversation_id
        if conversation_id is None and not isinstance(error, ConversationNotFound):
            conversation_id = question.conversation_id
        log_error(raised, question.request_id, question.caller, question.text, question.conversation_id)
        body = error_response(
            error,
            sql=trace.sql,
            conversation_id=conversation_id,
            execution_time_ms=trace.execution_ms or 0.0,
            metadata={**trace.metadata(), **metadata},
        )
        return Reply(error.status, body, error.retry_after_s)


async def _stage_health(name: str, ask: Callable[[], Awaitable[StageHealth]]) -> StageHealth:
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            return await ask()
    except TimeoutError:
        return StageHealth(stage=name, ok=False, detail=f"No reply within {HEALTH_TIMEOUT_S:g} s.")
    except PlumblineError as error:
        return StageHealth(stage=name, ok=False, detail=error.message)
    except Exception as error:
        # The others' states are worth telling all the same.
        log_error(error, request_id_var.get(), stage=name)
        return StageHealth(stage=name, ok=False, detail=PlumblineError.default_message)
