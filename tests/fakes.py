"""Stages at the seam: small real implementations of `serve_app.stages`, for tests of what stands before them.

Each takes what it should do as data or a callable, and keeps what it was asked in ``asked``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from serve_app.contracts import (
    BuiltPrompt,
    Caller,
    ChatTurn,
    Column,
    ColumnInfo,
    ConversationContext,
    Exchange,
    ExecutionRequest,
    ExecutionResult,
    Feedback,
    GeneratedText,
    Generation,
    GenerationRequest,
    Interpretation,
    MemoryUsage,
    NumberedExchange,
    Prompt,
    Proposal,
    Question,
    RejectedSql,
    SchemaSnapshot,
    SqlCandidate,
    StageHealth,
    Table,
    TokenChunk,
    TrialFailed,
    TrialOutcome,
    TrialRequest,
    Tried,
    ValidSql,
    VerifiedExample,
    Violation,
)
from serve_app.errors import ConversationNotFound, DatabaseUnavailable, PlumblineError, SchemaChanged
from serve_app.pipeline import Stages

ASKED_AT = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def make_question(text: str = "How many rows?", **fields: Any) -> Question:
    values = {"caller": Caller(user_id="ann"), "request_id": "r-1", "asked_at": ASKED_AT, **fields}
    return Question(text=text, **values)


def make_prompt(question: str = "How many rows?", **fields: Any) -> Prompt:
    values = {
        "profile": "instruction",
        "turns": (ChatTurn(role="user", content=question),),
        "token_count": 7,
        "schema_fingerprint": "f",
        **fields,
    }
    return Prompt(question=question, **values)


def make_generation(*texts: str, tokens: int = 5) -> Generation:
    return Generation(
        texts=tuple(
            GeneratedText(text=t, token_count=tokens, finish_reason="stop") for t in texts or ("SELECT 1",)
        ),
        prompt_tokens=11,
        engine="fake",
        model="fake-model",
        queue_ms=0.5,
        inference_ms=2.5,
        batch_size=1,
        memory=MemoryUsage(device="cpu", before_bytes=10, after_bytes=10, peak_bytes=20),
    )


def make_result(
    rows: Iterable[tuple[Any, ...]] = ((1,),), columns: tuple[str, ...] = ("n",), **fields: Any
) -> ExecutionResult:
    kept = tuple(rows)
    values = {
        "row_count": len(kept),
        "total_count": len(kept),
        "truncated": False,
        "execution_ms": 1.5,
        **fields,
    }
    infos = tuple(ColumnInfo(name=c, database_type="int4", semantic_type="number") for c in columns)
    return ExecutionResult(columns=infos, rows=kept, **values)


def valid(sql: str) -> ValidSql:
    return ValidSql(sql=sql, tables=("t",), row_cap=100, cap_applied=False)


def rejected(rule: str = "unknown_column", reason: str = "column x does not exist") -> RejectedSql:
    return RejectedSql(
        violations=(Violation(rule=rule, reason=reason, message="That cannot be asked safely."),)
    )


class Gate:
    """A point where a stage waits until the test lets it go on; ``reached`` tells that it is there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class FakeConversations:
    """Keeps conversations in memory."""

    def __init__(self, remember_error: Exception | None = None) -> None:
        self.exchanges: dict[str, list[Exchange]] = {}
        self.feedback: list[Feedback] = []
        self.remember_error = remember_error
        self.ok = True

    async def context(self, question: Question, limit: int) -> ConversationContext:
        if question.conversation_id is None:
            conversation_id = f"c{len(self.exchanges) + 1}"
            self.exchanges[conversation_id] = []
        elif question.conversation_id in self.exchanges:
            conversation_id = question.conversation_id
        else:
            raise ConversationNotFound()
        past = self.exchanges[conversation_id]
        kept = tuple(past[-limit:]) if limit else ()
        return ConversationContext(conversation_id=conversation_id, exchanges=kept, total_exchanges=len(past))

    async def remember(self, conversation_id: str, caller: Caller, exchange: Exchange) -> int:
        if self.remember_error is not None:
            raise self.remember_error
        self.exchanges[conversation_id].append(exchange)
        return len(self.exchanges[conversation_id]) - 1

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        if self.exchanges.pop(conversation_id, None) is None:
            raise ConversationNotFound()

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        if conversation_id not in self.exchanges:
            raise ConversationNotFound()
        past = self.exchanges[conversation_id]
        wanted = len(past) - 1 if position is None else position
        return NumberedExchange(position=wanted, exchange=past[wanted]) if 0 <= wanted < len(past) else None

    async def give_feedback(self, feedback: Feedback) -> None:
        self.feedback.append(feedback)

    async def verified(self) -> tuple[VerifiedExample, ...]:
        return ()

    async def health(self) -> StageHealth:
        return StageHealth(stage="conversations", ok=self.ok, detail="In memory.")


class FakePromptBuilder:
    """Builds what ``build_with`` says; reads outputs as ``interpret_with`` says, as SQL by default."""

    def __init__(
        self,
        build_with: Callable[[Question, tuple[str, str] | None], BuiltPrompt] | None = None,
        interpret_with: Callable[[str], Interpretation] | None = None,
    ) -> None:
        self._build = build_with or (
            lambda q, repair: make_prompt(q.text + (f" not {repair[0]}" if repair else ""))
        )
        self._interpret = interpret_with or (lambda output: SqlCandidate(sql=output))
        self.asked: list[tuple[Question, ConversationContext, tuple[str, str] | None]] = []
        self.schemas_forgotten = 0
        self.engines: list[str] = []

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        repair: tuple[str, str] | None = None,
        engine: str = "",
    ) -> BuiltPrompt:
        self.asked.append((question, context, repair))
        self.engines.append(engine)
        built = self._build(question, repair)
        return built.model_copy(update={"engine": engine}) if isinstance(built, Prompt) else built

    async def interpret(self, prompt: Prompt, outputs: tuple[str, ...]) -> tuple[Interpretation, ...]:
        return tuple(self._interpret(output) for output in outputs)

    async def forget_schema(self) -> None:
        self.schemas_forgotten += 1

    async def health(self) -> StageHealth:
        return StageHealth(stage="prompt_builder", ok=True, detail="Ready.")


class FakeDirect:
    """An engine without a model that proposes the same for every question; an exception is raised."""

    def __init__(self, proposal: Proposal | Exception | None) -> None:
        self._proposal = proposal

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        if isinstance(self._proposal, Exception):
            raise self._proposal
        return self._proposal

    async def health(self) -> StageHealth:
        return StageHealth(stage="direct", ok=True, detail="Ready.")


class FakeGenerator:
    """Gives the next of ``script`` at every call (an exception is raised), the last one for ever."""

    def __init__(self, *script: Generation | Exception, gate: Gate | None = None) -> None:
        self._script = list(script) or [make_generation()]
        self._gate = gate
        self.asked: list[GenerationRequest] = []
        self.running = 0
        self.most_running = 0

    async def generate(self, request: GenerationRequest) -> Generation:
        step = self._script[min(len(self.asked), len(self._script) - 1)]
        self.asked.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self._gate is not None:
                await self._gate.wait()
        finally:
            self.running -= 1
        if isinstance(step, Exception):
            raise step
        return step

    async def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        generation = await self.generate(request)
        for word in generation.texts[0].text.split(" "):
            yield TokenChunk(text=word)
        yield generation

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(len(t.split()) for t in texts)

    async def cancel(self, request_id: str) -> None:
        return None

    async def health(self) -> StageHealth:
        return StageHealth(stage="generator", ok=True, detail="Ready.")


class FakeValidator:
    """Accepts everything, unless ``verdict_of`` says otherwise."""

    def __init__(self, verdict_of: Callable[[str], ValidSql | RejectedSql] = valid) -> None:
        self._verdict_of = verdict_of
        self.schemas_forgotten = 0
        self.asked: list[str] = []

    async def validate(self, sql: str, caller: Caller) -> ValidSql | RejectedSql:
        self.asked.append(sql)
        return self._verdict_of(sql)

    async def validate_all(
        self, statements: tuple[str, ...], caller: Caller
    ) -> tuple[ValidSql | RejectedSql, ...]:
        return tuple([await self.validate(sql, caller) for sql in statements])

    async def forget_schema(self) -> None:
        self.schemas_forgotten += 1

    async def health(self) -> StageHealth:
        return StageHealth(stage="validator", ok=True, detail="Ready.")


class FakeExecutor:
    """Returns ``result_of`` a statement; an exception in place of a result is raised."""

    def __init__(
        self,
        result_of: Callable[[str], ExecutionResult | Exception] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._result_of = result_of or (lambda sql: make_result())
        self._gate = gate
        self.asked: list[ExecutionRequest] = []
        self.tried: list[TrialRequest] = []
        self.schemas_forgotten = 0

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        self.asked.append(request)
        if self._gate is not None:
            await self._gate.wait()
        result = self._result_of(request.statement.sql)
        if isinstance(result, Exception):
            raise result
        return result

    async def trial(self, request: TrialRequest) -> tuple[TrialOutcome, ...]:
        """Rows with the same text are equal; what ``result_of`` raises fails its own statement alone."""
        self.tried.append(request)
        if self._gate is not None:
            await self._gate.wait()
        return tuple(self._outcome(statement) for statement in request.statements)

    def _outcome(self, statement: ValidSql) -> TrialOutcome:
        result = self._result_of(statement.sql)
        if isinstance(result, DatabaseUnavailable):
            raise result
        if isinstance(result, PlumblineError):
            kinds = {"permission_denied": "denied", "execution_timeout": "timeout"}
            kind = "outdated" if isinstance(result, SchemaChanged) else kinds.get(result.type, "failed")
            return TrialFailed.model_validate(
                {"kind": kind, "message": result.message, "detail": result.detail or result.message}
            )
        if isinstance(result, Exception):
            raise result
        return Tried(
            digest=repr(sorted(map(repr, result.rows))),
            order_digest=repr(result.rows) if statement.ordered else None,
            row_count=result.row_count,
            has_values=any(value is not None for row in result.rows for value in row),
            result=None if result.truncated else result,
        )

    async def schema(self, refresh: bool = False, caller: Caller | None = None) -> SchemaSnapshot:
        table = Table(name="t", columns=(Column(name="n", type="integer", nullable=False),))
        return SchemaSnapshot(tables=(table,), fingerprint="f", taken_at=ASKED_AT)

    async def forget_schema(self) -> None:
        self.schemas_forgotten += 1

    async def health(self) -> StageHealth:
        return StageHealth(stage="executor", ok=True, detail="Ready.")


def make_stages(**replaced: Any) -> Stages:
    stages = Stages(
        FakeConversations(), FakePromptBuilder(), FakeGenerator(), FakeValidator(), FakeExecutor()
    )
    return stages._replace(**replaced)
