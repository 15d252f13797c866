"""The way of a question, over fakes at the seam."""

import asyncio
import logging
from typing import Any

import pytest
from fakes import (
    FakeConversations,
    FakeDirect,
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    Gate,
    make_generation,
    make_prompt,
    make_question,
    make_result,
    make_stages,
    rejected,
    valid,
)

from serve_app.contracts import (
    CannotAnswer,
    Clarification,
    ExecutionResult,
    Proposal,
    RejectedSql,
    SamplingParams,
    SqlCandidate,
    ValidSql,
)
from serve_app.errors import (
    ConversationNotFound,
    DatabaseUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    GenerationFailed,
    GenerationTimeout,
    ModelUnavailable,
    Overloaded,
    PermissionDenied,
    PlumblineError,
    ValidationFailed,
)
from serve_app.events import Answer, DoneEvent, RowsEvent, SqlEvent, StageEvent, TokenEvent
from serve_app.pipeline import EnginePlan, PipelineLimits, Stages, answer, answer_events
from serve_app.trace import Trace

NOW = PipelineLimits(retry_delay_s=0)
GREEDY = PipelineLimits(engines=(EnginePlan(sampling=SamplingParams(temperature=0)),))


async def ask(stages: Stages, limits: PipelineLimits = NOW, **question: Any) -> tuple[Answer, Trace]:
    trace = Trace(make_question(**question))
    return await answer(trace.question, stages, limits, trace), trace


async def refused(
    stages: Stages, kind: type[PlumblineError], limits: PipelineLimits = NOW
) -> tuple[PlumblineError, Trace]:
    trace = Trace(make_question())
    with pytest.raises(kind) as raised:
        await answer(trace.question, stages, limits, trace)
    return raised.value, trace


async def test_a_question_goes_through_every_stage() -> None:
    stages = make_stages(
        generator=FakeGenerator(make_generation("SELECT count(*) FROM t")),
        validator=FakeValidator(lambda sql: valid(sql + " LIMIT 100")),
        executor=FakeExecutor(lambda sql: make_result([(42,)], ("row_count",))),
    )
    done, trace = await ask(stages)
    assert done.kind == "answer"
    assert done.result is not None
    assert done.result.rows == ((42,),)
    assert done.sentence == "Row count: 42."
    assert done.sql == "SELECT count(*) FROM t LIMIT 100"
    assert stages.executor.asked[0].statement.sql == done.sql  # type: ignore[attr-defined]
    assert trace.attempts == 1
    assert trace.prompt_tokens == 11
    assert trace.output_tokens == 5
    assert trace.verdict == "accepted"
    assert set(trace.timings_ms) == {
        "context",
        "prompt",
        "generate",
        "interpret",
        "validate",
        "execute",
        "remember",
    }


async def test_a_rejected_statement_goes_back_with_the_reason_and_is_repaired() -> None:
    builder = FakePromptBuilder()
    stages = make_stages(
        prompt_builder=builder,
        generator=FakeGenerator(make_generation("bad"), make_generation("good")),
        validator=FakeValidator(lambda sql: rejected() if sql == "bad" else valid(sql)),
    )
    done, trace = await ask(stages)
    assert done.sql == "good"
    assert trace.attempts == 2
    assert [repair for _, _, repair in builder.asked] == [None, ("bad", "column x does not exist")]


async def test_an_execution_error_goes_back_with_its_detail() -> None:
    builder = FakePromptBuilder()
    stages = make_stages(
        prompt_builder=builder,
        generator=FakeGenerator(make_generation("bad"), make_generation("good")),
        executor=FakeExecutor(
            lambda sql: ExecutionFailed(detail="division by zero") if sql == "bad" else make_result()
        ),
    )
    done, _ = await ask(stages)
    assert done.sql == "good"
    assert builder.asked[1][2] == ("bad", "division by zero")


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_repairs_end_after_max_retries(max_retries: int) -> None:
    generator = FakeGenerator(make_generation("bad"))
    builder = FakePromptBuilder(lambda q, repair: make_prompt(q.text, token_count=len(generator.asked)))
    stages = make_stages(
        generator=generator, prompt_builder=builder, validator=FakeValidator(lambda _: rejected("r"))
    )
    error, trace = await refused(
        stages, ValidationFailed, NOW.model_copy(update={"max_retries": max_retries})
    )
    assert error.rule == "r"
    assert len(generator.asked) == max_retries + 1
    assert trace.verdict == "r"


async def test_a_greedy_profile_without_repairs_is_not_asked_the_same_twice() -> None:
    generator = FakeGenerator(make_generation("bad"))
    builder = FakePromptBuilder(lambda q, repair: make_prompt(q.text))
    stages = make_stages(
        generator=generator, prompt_builder=builder, validator=FakeValidator(lambda _: rejected())
    )
    _, trace = await refused(stages, ValidationFailed, GREEDY)
    assert len(generator.asked) == 1
    assert trace.attempts == 1


async def test_the_prompt_s_grammar_goes_with_the_request() -> None:
    generator = FakeGenerator(make_generation("SELECT 1"))
    builder = FakePromptBuilder(lambda q, repair: make_prompt(q.text, grammar='start: "x"'))
    await ask(make_stages(generator=generator, prompt_builder=builder))
    assert generator.asked[0].params.grammar == 'start: "x"'


async def test_candidates_are_read_checked_and_tried_together() -> None:
    def read(output: str) -> SqlCandidate | CannotAnswer:
        if output == "unreadable":
            return CannotAnswer(reason="uncompilable", message="m")
        return SqlCandidate(sql=output)

    executor = FakeExecutor(lambda sql: ExecutionFailed() if sql == "fails" else make_result())
    stages = make_stages(
        prompt_builder=FakePromptBuilder(interpret_with=read),
        generator=FakeGenerator(make_generation("unreadable", "unsafe", "fails", "right", "as right")),
        validator=FakeValidator(lambda sql: rejected() if sql == "unsafe" else valid(sql)),
        executor=executor,
    )
    done, trace = await ask(stages)
    assert done.sql == "right"
    (trial,) = executor.tried
    assert [statement.sql for statement in trial.statements] == ["fails", "right", "as right"]
    # The trial's rows were whole: the statement is not run again.
    assert executor.asked == []
    assert trace.attempts == 1


async def test_out_of_scope_from_the_best_candidate_ends_it() -> None:
    generator = FakeGenerator(make_generation("cannot", "SELECT 1"))
    reader = FakePromptBuilder(
        interpret_with=lambda o: (
            CannotAnswer(reason="out_of_scope", message="Not in the data.")
            if o == "cannot"
            else SqlCandidate(sql=o)
        )
    )
    done, _ = await ask(make_stages(prompt_builder=reader, generator=generator))
    assert done.kind == "refusal"
    assert done.sentence == "Not in the data."
    assert len(generator.asked) == 1


async def test_unreadable_output_to_the_end_is_a_refusal() -> None:
    reader = FakePromptBuilder(
        interpret_with=lambda _: CannotAnswer(reason="uncompilable", message="I can't.")
    )
    done, _ = await ask(make_stages(prompt_builder=reader))
    assert done.kind == "refusal"
    assert done.sql is None


async def test_an_ambiguous_question_costs_no_generation_and_is_remembered() -> None:
    generator, memory = FakeGenerator(), FakeConversations()
    asks = Clarification(question="Which one?", kind="entity", options=("a", "b"))
    stages = make_stages(
        prompt_builder=FakePromptBuilder(lambda q, r: asks), generator=generator, conversations=memory
    )
    done, _ = await ask(stages)
    assert done.kind == "clarification"
    assert generator.asked == []
    (exchange,) = memory.exchanges[done.conversation_id]
    assert (exchange.kind, exchange.answer) == ("clarification", "Which one?")


async def test_the_next_question_sees_the_exchange_before() -> None:
    memory, builder = FakeConversations(), FakePromptBuilder()
    stages = make_stages(conversations=memory, prompt_builder=builder)
    first, _ = await ask(stages, text="first")
    _, trace = await ask(stages, text="second", conversation_id=first.conversation_id)
    context = builder.asked[1][1]
    assert [e.question for e in context.exchanges] == ["first"]
    assert trace.context_length == 1


async def test_pasted_sql_is_declined_without_a_generation() -> None:
    generator = FakeGenerator()
    done, _ = await ask(make_stages(generator=generator), text="DROP TABLE projects; --")
    assert done.kind == "refusal"
    assert "/api/sql/run" in done.sentence
    assert generator.asked == []


@pytest.mark.parametrize("error", [ModelUnavailable(), GenerationFailed()])
async def test_a_failed_generation_is_tried_again(error: Exception) -> None:
    generator = FakeGenerator(error, error, make_generation())
    done, trace = await ask(make_stages(generator=generator))
    assert done.kind == "answer"
    assert (trace.generation_retries, trace.attempts) == (2, 1)
    assert len({r.request_id for r in generator.asked}) == 3


@pytest.mark.parametrize("error", [Overloaded(retry_after_s=2), GenerationTimeout()])
async def test_overload_and_timeout_are_not_made_worse_by_retries(error: PlumblineError) -> None:
    generator = FakeGenerator(error)
    raised, _ = await refused(make_stages(generator=generator), type(error))
    assert raised is error
    assert len(generator.asked) == 1


async def test_a_retry_that_cannot_end_in_time_is_not_waited_for() -> None:
    limits = PipelineLimits(retry_delay_s=50, request_timeout_s=10)
    generator = FakeGenerator(ModelUnavailable())
    await refused(make_stages(generator=generator), ModelUnavailable, limits)
    assert len(generator.asked) == 1


@pytest.mark.parametrize("error", [DatabaseUnavailable(), ExecutionTimeout(), PermissionDenied()])
async def test_what_other_sql_cannot_help_ends_the_question(error: PlumblineError) -> None:
    generator = FakeGenerator()
    raised, _ = await refused(
        make_stages(generator=generator, executor=FakeExecutor(lambda _: error)), type(error)
    )
    assert raised is error
    assert len(generator.asked) == 1


async def test_the_deadline_of_the_whole_question_names_the_stage_at_fault() -> None:
    limits = PipelineLimits(request_timeout_s=0.05)
    gate = Gate()
    await refused(make_stages(generator=FakeGenerator(gate=gate)), GenerationTimeout, limits)
    assert gate.cancelled.is_set()
    await refused(make_stages(executor=FakeExecutor(gate=Gate())), ExecutionTimeout, limits)


async def test_time_in_the_queue_is_part_of_the_deadline() -> None:
    trace = Trace(make_question())
    trace.started -= 100.0
    stages = make_stages(generator=FakeGenerator(gate=Gate()))
    with pytest.raises(GenerationTimeout):
        await answer(trace.question, stages, PipelineLimits(request_timeout_s=100.0), trace)


async def test_cancelling_the_question_cancels_the_stage_at_work(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "plumbline.pipeline")
    for stage in ("generator", "executor"):
        gate = Gate()
        fake = FakeGenerator(gate=gate) if stage == "generator" else FakeExecutor(gate=gate)
        task = asyncio.create_task(ask(make_stages(**{stage: fake})))
        await gate.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.cancelled.is_set()
        (record,) = [r for r in caplog.records if r.getMessage() == "query"]
        assert record.__dict__["outcome"] == "cancelled"
        caplog.clear()


async def test_an_unknown_conversation_is_told() -> None:
    with pytest.raises(ConversationNotFound):
        await ask(make_stages(), conversation_id="nope")


async def test_a_store_that_fails_costs_a_warning_not_the_answer() -> None:
    done, trace = await ask(
        make_stages(conversations=FakeConversations(remember_error=DatabaseUnavailable()))
    )
    assert done.kind == "answer"
    assert len(trace.warnings) == 1


async def test_a_refused_statement_is_remembered_and_an_outage_is_not() -> None:
    memory = FakeConversations()
    stages = make_stages(conversations=memory, validator=FakeValidator(lambda _: rejected()))
    _, trace = await refused(stages, ValidationFailed)
    assert [e.kind for e in memory.exchanges[trace.conversation_id or ""]] == ["error"]
    stages = make_stages(conversations=memory, executor=FakeExecutor(lambda _: DatabaseUnavailable()))
    _, trace = await refused(stages, DatabaseUnavailable)
    assert memory.exchanges[trace.conversation_id or ""] == []


async def test_events_tell_every_step_and_end_with_the_answer() -> None:
    trace = Trace(make_question())
    stages = make_stages(generator=FakeGenerator(make_generation("SELECT 1")))
    events = [e async for e in answer_events(trace.question, stages, NOW, trace)]
    assert [e.stage for e in events if isinstance(e, StageEvent)] == [
        "context", "prompt", "generate", "validate", "execute", "remember",
    ]  # fmt: skip
    assert [e.text for e in events if isinstance(e, TokenEvent)] == ["SELECT", "1"]
    assert [type(e) for e in events if isinstance(e, SqlEvent | RowsEvent)] == [SqlEvent, RowsEvent]
    assert isinstance(events[-1], DoneEvent)


async def test_closing_the_stream_cancels_the_question() -> None:
    gate = Gate()
    trace = Trace(make_question())
    events = answer_events(trace.question, make_stages(executor=FakeExecutor(gate=gate)), NOW, trace)
    async for event in events:
        if isinstance(event, StageEvent) and event.stage == "execute":
            break
    await gate.reached.wait()
    await events.aclose()  # type: ignore[attr-defined]
    assert gate.cancelled.is_set()


async def test_every_stage_and_question_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="plumbline"):
        await ask(make_stages())
    stages = [r.stage for r in caplog.records if r.message == "stage"]  # type: ignore[attr-defined]
    assert stages == ["context", "prompt", "generate", "interpret", "validate", "execute", "remember"]
    (query,) = [r for r in caplog.records if r.message == "query"]
    assert query.request_id == "r-1"  # type: ignore[attr-defined]
    assert query.row_count == 1  # type: ignore[attr-defined]


def proposal(sql: str, confidence: float = 0.95) -> Proposal:
    candidate = SqlCandidate(sql=sql, query_spec="{}")
    return Proposal(candidate=candidate, confidence=confidence, engine="verified", source="pack:1")


async def test_a_direct_engine_answers_without_the_model() -> None:
    stages = make_stages(direct=FakeDirect(proposal("SELECT 2")))
    finished, trace = await ask(stages)
    assert finished.sql == "SELECT 2"
    assert stages.generator.asked == []  # type: ignore[attr-defined]
    assert stages.validator.asked == ["SELECT 2"]  # type: ignore[attr-defined]
    told = trace.metadata()
    assert (told["engine"], told["model"], told["confidence"]) == ("verified", None, 0.95)
    assert (told["source"], told["attempts"], told["exchange"]) == ("pack:1", 1, 0)
    (exchange,) = stages.conversations.exchanges[finished.conversation_id]  # type: ignore[attr-defined]
    assert exchange.query_spec == "{}"


def refusing(sql: str) -> RejectedSql | ValidSql:
    return rejected() if "secret" in sql else valid(sql)


def failing(sql: str) -> ExecutionResult | ExecutionFailed:
    return ExecutionFailed() if "1/0" in sql else make_result()


@pytest.mark.parametrize(
    "direct",
    [
        FakeDirect(None),
        FakeDirect(proposal("SELECT 2", confidence=0.69)),
        FakeDirect(proposal("SELECT secret")),
        FakeDirect(proposal("SELECT 1/0")),
        FakeDirect(DatabaseUnavailable()),
    ],
    ids=["none", "unsure", "refused", "failed", "down"],
)
async def test_where_a_direct_engine_has_no_answer_the_model_has_all_its_attempts(direct: FakeDirect) -> None:
    stages = make_stages(direct=direct, validator=FakeValidator(refusing), executor=FakeExecutor(failing))
    finished, trace = await ask(stages, PipelineLimits(retry_delay_s=0, max_retries=0))
    assert finished.sql == "SELECT 1"
    told = trace.metadata()
    assert (told["engine"], told["confidence"], told["source"]) == ("fake", None, None)
    assert (told["attempts"], told["query_spec"]) == (1, None)
    assert stages.prompt_builder.asked[0][2] is None  # type: ignore[attr-defined]
