"""The way of a question over the stages: one async function, no Ray, no HTTP, no SQL knowledge.

context -> prompt -> generate -> interpret -> validate -> try and execute -> remember. The engines' part, with
the repairs of a statement that is rejected or fails, is `serve_app.cascade`; which of several candidates is
the answer, `serve_app.candidates`. Cancelling the task cancels the stage at work.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from serve_app.candidates import rejection
from serve_app.cascade import ask_engines, same_text
from serve_app.contracts import CannotAnswer, Clarification, Exchange, Question
from serve_app.errors import ExecutionTimeout, GenerationTimeout, PlumblineError
from serve_app.events import Answer, DoneEvent, Emit, Event, RowsEvent, SqlEvent
from serve_app.pasted_sql import refusal_of_pasted_sql
from serve_app.sentences import answer_sentence
from serve_app.steps import EnginePlan, Executed, Outcome, PipelineLimits, Run, Stages
from serve_app.trace import Trace

__all__ = [
    "EnginePlan",
    "PipelineLimits",
    "Stages",
    "answer",
    "answer_events",
    "rejection",
    "same_text",
]

_log = logging.getLogger("plumbline.pipeline")

CAVEAT = "I am not sure about this one: check the statement before you rely on it."
TOO_UNSURE = (
    "I am not sure enough of what you mean to give you an answer. Try asking it in other words, with the "
    "names and dates you mean."
)


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
    run = Run(question, stages, limits, trace, emit, emit is not _ignore, deadline)
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


async def _answer(run: Run) -> Answer:
    await run.begin("context")
    with run.trace.timed("context"):
        context = await run.stages.conversations.context(run.question, run.limits.max_history)
    run.trace.conversation_id = context.conversation_id
    run.trace.context_length = context.total_exchanges
    try:
        outcome = refusal_of_pasted_sql(run.question.text) or await ask_engines(run, context)
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
    outcome = _judged(run, outcome)
    await _tell(run, outcome)
    finished = _finished(run, outcome)
    await _remember(run, _exchange(run, finished))
    run.trace.outcome = finished.kind
    return finished


def _judged(run: Run, outcome: Outcome) -> Outcome:
    """The outcome as the user gets it: too unsure an answer is a refusal. The trace tells whose it is."""
    if not isinstance(outcome, Executed):
        return outcome
    run.trace.note_executed(
        outcome.candidate, outcome.statement, outcome.result, outcome.engine, outcome.model
    )
    run.trace.candidates, run.trace.source = outcome.candidates, outcome.source
    run.trace.confidence, run.trace.features = outcome.confidence, outcome.features
    if outcome.is_refused:
        return CannotAnswer(reason="low_confidence", message=TOO_UNSURE)
    return outcome


async def _tell(run: Run, outcome: Outcome) -> None:
    if isinstance(outcome, Executed):
        await run.emit(SqlEvent(sql=outcome.statement.sql))
        await run.emit(RowsEvent(result=outcome.result))


def _finished(run: Run, outcome: Outcome) -> Answer:
    conversation_id = run.trace.conversation_id or ""
    match outcome:
        case Executed(statement=statement, result=result):
            caveat = None if outcome.is_sure else CAVEAT
            return Answer(
                conversation_id=conversation_id,
                kind="answer",
                sentence=" ".join(filter(None, [answer_sentence(result), caveat])),
                caveat=caveat,
                sql=statement.sql,
                result=result,
                candidates=outcome.candidates,
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


def _exchange(run: Run, finished: Answer) -> Exchange:
    return Exchange(
        question=run.question.text,
        sql=finished.sql,
        query_spec=run.trace.query_spec if finished.kind == "answer" else None,
        answer=finished.sentence,
        kind=finished.kind,
        row_count=finished.result.row_count if finished.result else None,
        at=run.question.asked_at,
    )


async def _remember(run: Run, exchange: Exchange) -> None:
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
