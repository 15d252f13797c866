"""The way of a question over the stages: one async function, no Ray, no HTTP, no SQL knowledge.

context -> prompt -> generate -> interpret -> validate -> execute -> remember. A statement that is rejected or
fails goes back with the reason, at most ``max_retries`` times. Cancelling the task cancels the stage at work.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from serve_app.contracts import (
    CannotAnswer,
    Clarification,
    ConversationContext,
    Exchange,
    ExecutionRequest,
    ExecutionResult,
    Generation,
    GenerationRequest,
    Message,
    Prompt,
    Question,
    RejectedSql,
    SamplingParams,
    TokenChunk,
    ValidSql,
)
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    GenerationFailed,
    GenerationTimeout,
    ModelUnavailable,
    PlumblineError,
    ValidationFailed,
)
from serve_app.events import Answer, DoneEvent, Emit, Event, RowsEvent, SqlEvent, StageEvent, TokenEvent
from serve_app.pasted_sql import refusal_of_pasted_sql
from serve_app.sentences import answer_sentence
from serve_app.stages import Conversations, DirectEngine, Executor, Generator, PromptBuilder, SqlValidator
from serve_app.trace import StageName, Trace

_log = logging.getLogger("plumbline.pipeline")


class Stages(NamedTuple):
    """The five stages behind the ingress: Serve handles, plain cores or test fakes.

    ``direct`` answers some questions without generating; it stands before the model.
    """

    conversations: Conversations
    prompt_builder: PromptBuilder
    generator: Generator
    validator: SqlValidator
    executor: Executor
    direct: DirectEngine | None = None


class PipelineLimits(Message):
    """Bounds of one question."""

    max_retries: int = Field(
        default=3, ge=0, description="Repairs of a statement; retries of a failed generation"
    )
    retry_delay_s: float = Field(
        default=1.0, ge=0, description="Wait before the first generation retry; doubles"
    )
    generation_timeout_s: float = Field(default=30.0, gt=0, description="Time limit of one generation")
    execution_timeout_s: float = Field(default=15.0, gt=0, description="Time limit of one statement")
    request_timeout_s: float = Field(default=60.0, gt=0, description="Time limit of the whole question")
    max_history: int = Field(default=5, ge=0, description="Past exchanges asked of the conversation store")
    sampling: SamplingParams = Field(default=SamplingParams(), description="How the model profile generates")
    direct_confidence: float = Field(
        default=0.7, ge=0, description="From which a direct engine's statement is taken"
    )


class Failure(NamedTuple):
    """Why an attempt gave no rows: what the repair prompt is told, and the end if no repair is left."""

    sql: str
    reason: str
    end: PlumblineError | CannotAnswer


class Executed(NamedTuple):
    """A statement and its rows."""

    statement: ValidSql
    result: ExecutionResult


Outcome = Executed | Clarification | CannotAnswer


@dataclass(frozen=True)
class _Run:
    """What every step of one question needs."""

    question: Question
    stages: Stages
    limits: PipelineLimits
    trace: Trace
    emit: Emit
    deadline: float

    async def begin(self, stage: StageName) -> None:
        await self.emit(StageEvent(stage=stage, attempt=max(self.trace.attempts, 1)))

    def remaining_s(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()


async def _ignore(_event: Event) -> None:
    return None


async def answer(
    question: Question, stages: Stages, limits: PipelineLimits, trace: Trace, emit: Emit = _ignore
) -> Answer:
    """Answer one question. With ``emit``, tokens are streamed and every step is told.

    Raises:
        PlumblineError: no answer; ``trace`` tells how far the question came.
    """
    # Time spent in the queue counts too.
    left_s = limits.request_timeout_s - trace.total_ms() / 1000
    deadline = asyncio.get_running_loop().time() + left_s
    run = _Run(question, stages, limits, trace, emit, deadline)
    timer = asyncio.timeout_at(deadline)
    try:
        async with timer:
            return await _answer(run)
    except TimeoutError:
        if not timer.expired():
            raise
        error = ExecutionTimeout() if trace.stage in ("validate", "execute") else GenerationTimeout()
        trace.outcome = error.type
        raise error from None
    except PlumblineError as error:
        trace.outcome = error.type
        raise
    except asyncio.CancelledError:
        trace.outcome = "cancelled"
        raise
    finally:
        _log.info("query", extra=trace.query_record())


async def answer_events(
    question: Question, stages: Stages, limits: PipelineLimits, trace: Trace
) -> AsyncIterator[Event]:
    """`answer` as events, a DoneEvent last unless it raises. Closing the stream cancels the question."""
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.create_task(answer(question, stages, limits, trace, events.put))
    task.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        yield DoneEvent(answer=await task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _answer(run: _Run) -> Answer:
    await run.begin("context")
    with run.trace.timed("context"):
        context = await run.stages.conversations.context(run.question, run.limits.max_history)
    run.trace.conversation_id = context.conversation_id
    run.trace.context_length = context.total_exchanges
    try:
        outcome = refusal_of_pasted_sql(run.question.text) or await _attempts(run, context)
    except PlumblineError as error:
        # A server-side failure taught the conversation nothing; a refusal that the user reads did.
        if error.status < 500:
            await _remember(
                run,
                Exchange(
                    question=run.question.text,
                    sql=run.trace.sql,
                    answer=error.message,
                    kind="error",
                    at=run.question.asked_at,
                ),
            )
        raise
    finished = _finished(run, outcome)
    await _remember(run, _exchange(run, finished))
    run.trace.outcome = finished.kind
    return finished


async def _attempts(run: _Run, context: ConversationContext) -> Outcome:
    """Prompt, generate and try, with the reason of a failure going into the next prompt.

    A direct engine may answer before.
    """
    proposed = await _propose(run, context)
    if proposed is not None:
        return proposed
    failure: Failure | None = None
    previous: Prompt | None = None
    for attempt in range(run.limits.max_retries + 1):
        run.trace.attempts = attempt + 1
        await run.begin("prompt")
        with run.trace.timed("prompt"):
            repair = (failure.sql, failure.reason) if failure else None
            built = await run.stages.prompt_builder.build(run.question, context, repair)
        if not isinstance(built, Prompt):
            return built
        if previous is not None and same_text(built, previous) and run.limits.sampling.temperature == 0:
            # A profile without repairs: the same prompt, greedily decoded, gives the same output.
            run.trace.attempts = attempt
            break
        run.trace.note_prompt(built)
        tried = await _try_candidates(run, built, await _generate(run, built))
        if not isinstance(tried, Failure):
            return tried
        failure, previous = tried, built
    assert failure is not None, "the first attempt returns or fails"
    if isinstance(failure.end, CannotAnswer):
        return failure.end
    raise failure.end


def same_text(one: Prompt, other: Prompt) -> bool:
    """Whether a model reads the same in both."""
    return (one.turns, one.text) == (other.turns, other.text)


async def _generate(run: _Run, prompt: Prompt) -> Generation:
    """Generate, again after a doubling wait where a retry can help and the deadline allows it."""
    delay_s = run.limits.retry_delay_s
    for retries_left in reversed(range(run.limits.max_retries + 1)):
        await run.begin("generate")
        try:
            with run.trace.timed("generate"):
                generation = await _generate_once(run, prompt)
        except (ModelUnavailable, GenerationFailed) as error:
            if not retries_left or delay_s >= run.remaining_s():
                raise
            run.trace.generation_retries += 1
            _log.warning(
                "generation retried", extra={"request_id": run.question.request_id, "detail": error.detail}
            )
            await asyncio.sleep(delay_s)
            delay_s *= 2
        else:
            run.trace.note_generation(generation)
            return generation
    raise AssertionError("the last try returns or raises")


async def _generate_once(run: _Run, prompt: Prompt) -> Generation:
    trace, limits = run.trace, run.limits
    request = GenerationRequest(
        # Engines know a request by its id: every try needs its own.
        request_id=f"{run.question.request_id}.{trace.attempts}.{trace.generation_retries}",
        turns=prompt.turns,
        text=prompt.text,
        params=limits.sampling,
        timeout_s=max(min(limits.generation_timeout_s, run.remaining_s()), 0.001),
    )
    if run.emit is _ignore:
        return await run.stages.generator.generate(request)
    generation: Generation | None = None
    # Read to its end: a stream left before would be cancelled on the replica that has just finished it.
    async for piece in run.stages.generator.stream(request):
        if isinstance(piece, TokenChunk):
            await run.emit(TokenEvent(text=piece.text))
        else:
            generation = piece
    if generation is None:
        raise GenerationFailed(detail="the stream ended without a generation")
    return generation


async def _try_candidates(
    run: _Run, prompt: Prompt, generation: Generation
) -> Executed | CannotAnswer | Failure:
    """The first candidate that is understood, accepted and executed; else the best candidate's failure."""
    first: Failure | None = None
    for text in generation.texts:
        with run.trace.timed("interpret"):
            meaning = await run.stages.prompt_builder.interpret(prompt, text.text)
        if isinstance(meaning, CannotAnswer):
            if first is None and meaning.reason == "out_of_scope":
                return meaning
            first = first or Failure(text.text, meaning.message, meaning)
            continue
        run.trace.sql, run.trace.query_spec = meaning.sql, meaning.query_spec
        tried = await _check_and_run(run, meaning.sql)
        if isinstance(tried, Executed):
            return tried
        first = first or tried
    assert first is not None, "a generation has at least one text"
    return first


async def _propose(run: _Run, context: ConversationContext) -> Executed | None:
    """A direct engine's statement with its rows. That it has none, or fails, is the model's turn."""
    direct = run.stages.direct
    if direct is None:
        return None
    run.trace.attempts = 1
    await run.begin("propose")
    try:
        with run.trace.timed("propose"):
            proposal = await direct.propose(run.question, context)
    except PlumblineError as error:
        _log.warning(
            "no proposal",
            extra={"request_id": run.question.request_id, "detail": error.detail or error.message},
        )
        return None
    if proposal is None or proposal.confidence < run.limits.direct_confidence:
        return None
    run.trace.note_proposal(proposal)
    tried = await _check_and_run(run, proposal.candidate.sql)
    if isinstance(tried, Executed):
        return tried
    run.trace.forget_proposal()
    return None


async def _check_and_run(run: _Run, sql: str) -> Executed | Failure:
    await run.begin("validate")
    with run.trace.timed("validate"):
        verdict = await run.stages.validator.validate(sql, run.question.caller)
    if isinstance(verdict, RejectedSql):
        violation = verdict.first
        run.trace.verdict = violation.rule
        return Failure(sql, violation.reason, rejection(verdict))
    run.trace.verdict, run.trace.sql = "accepted", verdict.sql
    await run.emit(SqlEvent(sql=verdict.sql))
    await run.begin("execute")
    request = ExecutionRequest(
        request_id=run.question.request_id,
        statement=verdict,
        caller=run.question.caller,
        timeout_s=max(min(run.limits.execution_timeout_s, run.remaining_s()), 0.001),
    )
    try:
        with run.trace.timed("execute"):
            result = await run.stages.executor.run(request)
    except DatabaseUnavailable:
        raise
    except ExecutionFailed as error:
        return Failure(sql, error.detail or error.message, error)
    run.trace.note_result(result)
    await run.emit(RowsEvent(result=result))
    return Executed(verdict, result)


def rejection(verdict: RejectedSql) -> ValidationFailed:
    """The error that a rejected statement ends in, told in the rule's own words."""
    violation = verdict.first
    return ValidationFailed(violation.message, detail=violation.reason, rule=violation.rule)


def _finished(run: _Run, outcome: Outcome) -> Answer:
    conversation_id = run.trace.conversation_id or ""
    match outcome:
        case Executed(statement=statement, result=result):
            return Answer(
                conversation_id=conversation_id,
                kind="answer",
                sentence=answer_sentence(result),
                sql=statement.sql,
                result=result,
            )
        case Clarification():
            return Answer(
                conversation_id=conversation_id,
                kind="clarification",
                sentence=outcome.question,
                clarification=outcome,
            )
        case CannotAnswer():
            return Answer(
                conversation_id=conversation_id, kind="refusal", sentence=outcome.message, refusal=outcome
            )


def _exchange(run: _Run, finished: Answer) -> Exchange:
    return Exchange(
        question=run.question.text,
        sql=finished.sql,
        query_spec=run.trace.query_spec if finished.kind == "answer" else None,
        answer=finished.sentence,
        kind=finished.kind,
        row_count=finished.result.row_count if finished.result else None,
        at=run.question.asked_at,
    )


async def _remember(run: _Run, exchange: Exchange) -> None:
    """Keep the exchange. The answer is worth more than its record: a store that fails costs a warning."""
    await run.begin("remember")
    try:
        with run.trace.timed("remember"):
            run.trace.exchange = await run.stages.conversations.remember(
                run.trace.conversation_id or "", run.question.caller, exchange
            )
    except PlumblineError as error:
        _log.warning(
            "exchange not remembered", extra={"request_id": run.question.request_id, "detail": error.detail}
        )
        run.trace.warnings.append(
            "This exchange could not be saved; a follow-up question may not refer to it."
        )
