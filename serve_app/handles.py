"""Serve handles as stages: the error tree in place of Ray's errors, and one retry when a replica dies.

Every call has a limit of its own: a replica that hangs answers nothing, and is not missed before some health
checks.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

from ray.exceptions import NodeDiedError, RayActorError, RayTaskError, TaskCancelledError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from serve_app.contracts import (
    BuiltPrompt,
    Caller,
    ConversationContext,
    Exchange,
    ExecutionRequest,
    ExecutionResult,
    Feedback,
    Generation,
    GenerationRequest,
    Interpretation,
    NumberedExchange,
    Prompt,
    Proposal,
    Question,
    RejectedSql,
    SchemaSnapshot,
    StageHealth,
    TokenChunk,
    TrialOutcome,
    TrialRequest,
    ValidSql,
    VerifiedExample,
)
from serve_app.errors import (
    RESTARTING,
    DatabaseUnavailable,
    GenerationTimeout,
    ModelUnavailable,
    Overloaded,
    PlumblineError,
)

_log = logging.getLogger("plumbline.handles")

# A replica that went away; another one, or its successor, can answer.
REPLICA_LOST = (
    RayActorError,
    WorkerCrashedError,
    NodeDiedError,
    ReplicaUnavailableError,
    DeploymentUnavailableError,
)

# Serve restarts a lost replica within this order of time.
RESTART_S = 5.0
# A replica that does not listen for so long is not waited for when all are told something.
TELL_S = 2.0
# The engine ends a generation by itself; this much later it does not answer at all.
GENERATION_MARGIN_S = 5.0


def as_plumbline_error(error: Exception, lost: type[PlumblineError]) -> PlumblineError:
    """What the caller of a handle should see. ``lost`` is the error of a stage whose replica went away."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, PlumblineError):
        return error.cause
    if isinstance(error, PlumblineError):
        return error
    if isinstance(error, BackPressureError):
        return Overloaded(retry_after_s=error.retry_after_s or RESTART_S, detail=error.message)
    if isinstance(error, (*REPLICA_LOST, TaskCancelledError)):
        message = None if lost is not Overloaded else RESTARTING
        return lost(message, retry_after_s=RESTART_S, detail=type(error).__name__)
    # A bug in the stage: its remote stack trace belongs into the log, never into the message.
    return PlumblineError(detail=str(error))


class StageHandle:
    """Calls on one deployment."""

    lost: type[PlumblineError] = Overloaded

    def __init__(self, handle: "DeploymentHandle[Any]", timeout_s: float) -> None:
        """``timeout_s`` bounds each call, beside what the call itself grants a statement or a generation."""
        self._handle = handle
        self._timeout_s = timeout_s

    async def call(
        self,
        method: str,
        *args: Any,
        again: bool = True,
        timeout_s: float | None = None,
        late: type[PlumblineError] | None = None,
    ) -> Any:
        """Call a method of some replica; a second time if that replica is lost and ``again`` allows it.

        Raises:
            PlumblineError: the stage's own error, or the one that stands for its loss or overload; ``late``,
                else the one for its loss, if it does not reply in time.
        """
        timer = asyncio.timeout(timeout_s or self._timeout_s)
        try:
            async with timer:
                return await self._call(method, args, again)
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise self._silent(method, late or self.lost) from error

    def _silent(self, method: str, late: type[PlumblineError]) -> PlumblineError:
        message = RESTARTING if late is Overloaded else None
        detail = f"no reply of {self._handle.deployment_name}.{method} in time"
        return late(message, detail, retry_after_s=RESTART_S)

    async def _call(self, method: str, args: tuple[Any, ...], again: bool) -> Any:
        try:
            return await self._once(method, args)
        except REPLICA_LOST as error:
            if not again:
                raise as_plumbline_error(error, self.lost) from error
            _log.warning(
                "replica lost, calling again", extra={"stage": self._handle.deployment_name, "method": method}
            )
        except Exception as error:
            raise as_plumbline_error(error, self.lost) from error
        try:
            return await self._once(method, args)
        except Exception as error:
            raise as_plumbline_error(error, self.lost) from error

    async def _once(self, method: str, args: tuple[Any, ...]) -> Any:
        response = getattr(self._handle, method).remote(*args)
        try:
            return await response
        except asyncio.CancelledError:
            # Our own timers end the wait, not the work: the replica has to be told.
            response.cancel()
            raise

    async def call_all(self, method: str, *args: Any) -> None:
        """Tell every replica, as far as it listens: for what each keeps by itself for a while."""
        try:
            await self._handle.broadcast(method, *args).results_async(timeout_s=TELL_S)
        except Exception as error:
            _log.warning(
                "not every replica was told",
                extra={
                    "stage": self._handle.deployment_name,
                    "method": method,
                    "detail": type(error).__name__,
                },
            )

    async def health(self) -> StageHealth:
        health: StageHealth = await self.call("health")
        return health


class ConversationsHandle(StageHandle):
    """`Conversations` over its Serve handle."""

    async def context(self, question: Question, limit: int) -> ConversationContext:
        context: ConversationContext = await self.call("context", question, limit)
        return context

    async def remember(self, conversation_id: str, caller: Caller, exchange: Exchange) -> int:
        # A lost replica may have written it: by the key the store knows a second call for the same.
        key = uuid.uuid4().hex
        position: int = await self.call("remember", conversation_id, caller, exchange, key)
        return position

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        await self.call("clear", conversation_id, caller)

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        found: NumberedExchange | None = await self.call("exchange", conversation_id, caller, position)
        return found

    async def give_feedback(self, feedback: Feedback) -> None:
        await self.call("give_feedback", feedback, again=False)

    async def verified(self) -> tuple[VerifiedExample, ...]:
        accepted: tuple[VerifiedExample, ...] = await self.call("verified")
        return accepted


class PromptBuilderHandle(StageHandle):
    """`PromptBuilder` over its Serve handle."""

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        repair: tuple[str, str] | None = None,
        engine: str = "",
    ) -> BuiltPrompt:
        built: BuiltPrompt = await self.call("build", question, context, repair, engine)
        return built

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        proposal: Proposal | None = await self.call("propose", question, context)
        return proposal

    async def interpret(self, prompt: Prompt, outputs: tuple[str, ...]) -> tuple[Interpretation, ...]:
        meanings: tuple[Interpretation, ...] = await self.call("interpret", prompt, outputs)
        return meanings

    async def forget_schema(self) -> None:
        await self.call_all("forget_schema")


class GeneratorHandle(StageHandle):
    """`Generator` over its Serve handle."""

    lost = ModelUnavailable

    async def generate(self, request: GenerationRequest) -> Generation:
        generation: Generation = await self.call(
            "generate",
            request,
            timeout_s=request.timeout_s + GENERATION_MARGIN_S,
            late=GenerationTimeout,
        )
        return generation

    async def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        """Pieces from one replica; its loss is an error, since what was streamed cannot be taken back."""
        pieces = self._handle.options(stream=True).stream.remote(request)
        ends = asyncio.get_running_loop().time() + request.timeout_s + GENERATION_MARGIN_S
        try:
            while (batch := await _next(pieces, ends)) is not None:
                for piece in batch:
                    yield piece
        except TimeoutError as error:
            pieces.cancel()
            raise self._silent("stream", GenerationTimeout) from error
        except (asyncio.CancelledError, GeneratorExit):
            pieces.cancel()
            raise
        except Exception as error:
            raise as_plumbline_error(error, self.lost) from error

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        counts: tuple[int, ...] = await self.call("count_tokens", texts)
        return counts

    async def cancel(self, request_id: str) -> None:
        # Every replica is asked: nobody here knows which one runs it.
        async with asyncio.timeout(self._timeout_s):
            await self._handle.broadcast("cancel", request_id).results_async()


async def _next(pieces: Any, ends: float) -> Any:
    """The next group of a stream, None at its end; raises TimeoutError at ``ends`` of the loop's clock."""
    async with asyncio.timeout_at(ends):
        return await anext(pieces, None)


class SqlValidatorHandle(StageHandle):
    """`SqlValidator` over its Serve handle."""

    async def validate(self, sql: str, caller: Caller) -> ValidSql | RejectedSql:
        verdict: ValidSql | RejectedSql = await self.call("validate", sql, caller)
        return verdict

    async def validate_all(
        self, statements: tuple[str, ...], caller: Caller
    ) -> tuple[ValidSql | RejectedSql, ...]:
        verdicts: tuple[ValidSql | RejectedSql, ...] = await self.call("validate_all", statements, caller)
        return verdicts

    async def forget_schema(self) -> None:
        await self.call_all("forget_schema")


class ExecutorHandle(StageHandle):
    """`Executor` over its Serve handle."""

    lost = DatabaseUnavailable

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        result: ExecutionResult = await self.call("run", request, timeout_s=self._with(request.timeout_s))
        return result

    async def trial(self, request: TrialRequest) -> tuple[TrialOutcome, ...]:
        outcomes: tuple[TrialOutcome, ...] = await self.call(
            "trial", request, timeout_s=self._with(request.timeout_s)
        )
        return outcomes

    async def schema(self, refresh: bool = False, caller: Caller | None = None) -> SchemaSnapshot:
        snapshot: SchemaSnapshot = await self.call("schema", refresh, caller)
        return snapshot

    async def forget_schema(self) -> None:
        await self.call_all("forget_schema")

    def _with(self, granted_s: float) -> float:
        """The limit of a call that waits for its turn and for a connection before its own time begins."""
        return self._timeout_s + granted_s
