"""Several engines in their order, over fakes at the seam."""

from typing import Any

import pytest
from fakes import (
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    make_generation,
    make_prompt,
    make_question,
    make_result,
    make_stages,
    rejected,
    valid,
)

from serve_app.confidence import Calibration, Thresholds
from serve_app.contracts import (
    CannotAnswer,
    ConversationContext,
    GeneratedText,
    Generation,
    Proposal,
    Question,
    SqlCandidate,
    StageHealth,
)
from serve_app.engines import GeneratorCascade, one_generator
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    GenerationFailed,
    GenerationTimeout,
    ModelUnavailable,
    Overloaded,
    PlumblineError,
    ValidationFailed,
)
from serve_app.events import Answer, RowsEvent, SqlEvent
from serve_app.pipeline import CAVEAT, EnginePlan, PipelineLimits, answer, answer_events
from serve_app.trace import Trace

# Of one share of the votes a confidence: half is 0.5, all is nearly 1.
BY_SHARE = Calibration(
    model="m",
    data=("d",),
    questions=100,
    right=50,
    log_loss=0.1,
    intercept=-4.0,
    coefficients={"share": 8.0},
)
SURE, TORN = ("A", "A"), ("A", "B")


def plan(name: str, **fields: Any) -> EnginePlan:
    values = {
        "calibration": BY_SHARE,
        "thresholds": Thresholds(answer=0.75, refuse=0.2),
        **fields,
    }
    return EnginePlan(name=name, **values)


SMALL_THEN_LARGE = PipelineLimits(retry_delay_s=0, engines=(plan("small"), plan("large")))


def rows_of(sql: str) -> Any:
    """Statements that begin alike give the same rows."""
    return make_result([(sql[0],)])


def generation(*texts: str, model: str = "m") -> Generation:
    return make_generation(*texts).model_copy(update={"model": model})


class Setup:
    """A cascade of a small and a large engine."""

    def __init__(self, small: Any, large: Any, **stages: Any) -> None:
        self.small = small if isinstance(small, FakeGenerator) else FakeGenerator(small)
        self.large = large if isinstance(large, FakeGenerator) else FakeGenerator(large)
        self.builder = FakePromptBuilder()
        values = {
            "generator": GeneratorCascade({"small": self.small, "large": self.large}),
            "prompt_builder": self.builder,
            "executor": FakeExecutor(rows_of),
            **stages,
        }
        self.stages = make_stages(**values)

    async def ask(self, limits: PipelineLimits = SMALL_THEN_LARGE) -> tuple[Answer, Trace]:
        trace = Trace(make_question())
        return await answer(trace.question, self.stages, limits, trace), trace


async def test_a_sure_first_engine_answers_alone() -> None:
    setup = Setup(generation(*SURE, model="small"), generation("C"))
    done, trace = await setup.ask()
    assert (done.kind, done.sql, done.caveat) == ("answer", "A", None)
    assert (trace.model, len(setup.large.asked)) == ("small", 0)
    assert trace.confidence == pytest.approx(0.982, abs=1e-3)


async def test_an_unsure_first_engine_hands_on_to_the_next() -> None:
    setup = Setup(generation(*TORN, model="small"), generation("C", model="large"))
    done, trace = await setup.ask()
    assert (done.sql, done.caveat) == ("C", None)
    assert (trace.model, trace.attempts) == ("large", 1)
    assert setup.builder.engines == ["small", "large"]
    assert [r.engine for r in (*setup.small.asked, *setup.large.asked)] == ["small", "large"]


async def test_if_nobody_is_sure_the_surest_answers_with_a_caveat() -> None:
    setup = Setup(generation("A", "A", "A", "B", "B"), generation("C", "D"))
    done, trace = await setup.ask()
    assert done.sql == "A"
    assert done.caveat == CAVEAT
    assert done.sentence.endswith(CAVEAT)
    assert trace.confidence == pytest.approx(0.69, abs=0.01)
    assert done.candidates is not None
    assert [g.share for g in done.candidates.groups] == [0.6, 0.4]


async def test_too_unsure_is_a_refusal_that_shows_no_rows() -> None:
    torn = generation("A", "B", "C", "D", "E")
    setup = Setup(torn, torn)
    trace = Trace(make_question())
    events = [e async for e in answer_events(trace.question, setup.stages, SMALL_THEN_LARGE, trace)]
    done = events[-1].answer  # type: ignore[union-attr]
    assert (done.kind, done.result, done.sql) == ("refusal", None, None)
    assert done.refusal is not None
    assert done.refusal.reason == "low_confidence"
    assert not [e for e in events if isinstance(e, SqlEvent | RowsEvent)]


async def test_without_a_calibration_an_answer_has_no_confidence_and_counts_as_sure() -> None:
    setup = Setup(generation(*TORN), generation("C"))
    done, trace = await setup.ask(
        PipelineLimits(engines=(plan("small", calibration=None), plan("large", calibration=None)))
    )
    assert (done.sql, done.caveat, trace.confidence) == ("A", None, None)


@pytest.mark.parametrize(
    "error", [ModelUnavailable(), GenerationFailed(), GenerationTimeout(), Overloaded(retry_after_s=2)]
)
async def test_an_engine_that_is_down_is_left_out_with_a_warning(error: PlumblineError) -> None:
    setup = Setup(FakeGenerator(error), generation("C"))
    done, trace = await setup.ask()
    assert done.sql == "C"
    assert (len(setup.small.asked), trace.generation_retries) == (1, 0)
    assert ["small" in warning for warning in trace.warnings] == [True]


async def test_if_the_last_engine_is_down_the_unsure_answer_stands() -> None:
    setup = Setup(generation(*TORN, model="small"), FakeGenerator(ModelUnavailable()))
    done, trace = await setup.ask()
    assert (done.sql, done.caveat, trace.model) == ("A", CAVEAT, "small")
    assert len(setup.large.asked) == 1


async def test_if_all_are_down_the_last_is_waited_for() -> None:
    down = ModelUnavailable()
    setup = Setup(FakeGenerator(down), FakeGenerator(down, down, generation("C")))
    done, trace = await setup.ask()
    assert (done.sql, trace.generation_retries) == ("C", 2)
    setup = Setup(FakeGenerator(down), FakeGenerator(down))
    with pytest.raises(ModelUnavailable):
        await setup.ask()


async def test_repairs_go_to_the_last_engine() -> None:
    setup = Setup(
        generation("bad"),
        FakeGenerator(generation("bad too"), generation("good")),
        validator=FakeValidator(lambda sql: rejected() if sql.startswith("bad") else valid(sql)),
    )
    done, trace = await setup.ask()
    assert (done.sql, trace.attempts) == ("good", 2)
    assert [
        (engine, repair)
        for engine, (_, _, repair) in zip(setup.builder.engines, setup.builder.asked, strict=True)
    ] == [
        ("small", None),
        ("large", None),
        ("large", ("bad too", "column x does not exist")),
    ]


async def test_repairs_go_to_the_strongest_engine_that_answers() -> None:
    setup = Setup(
        FakeGenerator(generation("bad"), generation("good")),
        FakeGenerator(ModelUnavailable()),
        validator=FakeValidator(lambda sql: rejected() if sql.startswith("bad") else valid(sql)),
    )
    done, _ = await setup.ask()
    assert done.sql == "good"
    assert setup.builder.engines == ["small", "large", "small"]


async def test_an_unsure_answer_is_better_than_a_failed_repair() -> None:
    setup = Setup(
        generation(*TORN),
        generation("bad"),
        validator=FakeValidator(lambda sql: rejected() if sql == "bad" else valid(sql)),
    )
    done, _ = await setup.ask()
    assert (done.sql, done.caveat) == ("A", CAVEAT)


async def test_a_refusal_is_asked_again_of_the_next_engine() -> None:
    cannot = CannotAnswer(reason="out_of_scope", message="Not in the data.")
    builder = FakePromptBuilder(interpret_with=lambda o: cannot if o == "cannot" else SqlCandidate(sql=o))
    setup = Setup(generation("cannot"), generation("C"), prompt_builder=builder)
    assert (await setup.ask())[0].sql == "C"
    setup = Setup(generation("cannot"), generation("cannot"), prompt_builder=builder)
    done, _ = await setup.ask()
    assert (done.kind, done.sentence) == ("refusal", "Not in the data.")


async def test_failures_to_the_end_are_the_last_engine_s() -> None:
    builder = FakePromptBuilder(lambda q, r: make_prompt(q.text))
    setup = Setup(
        generation("bad"),
        generation("worse"),
        prompt_builder=builder,
        validator=FakeValidator(lambda sql: rejected(rule=sql)),
    )
    with pytest.raises(ValidationFailed) as raised:
        await setup.ask(SMALL_THEN_LARGE.model_copy(update={"max_retries": 0}))
    assert raised.value.rule == "worse"


async def test_a_database_that_is_away_ends_the_question_at_once() -> None:
    setup = Setup(generation(*TORN), generation("C"), executor=FakeExecutor(lambda _: DatabaseUnavailable()))
    with pytest.raises(DatabaseUnavailable):
        await setup.ask()
    assert setup.large.asked == []


class Template:
    """A direct engine with one answer."""

    def __init__(self, given: Proposal | PlumblineError | None) -> None:
        self._given = given

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        if isinstance(self._given, PlumblineError):
            raise self._given
        return self._given

    async def health(self) -> StageHealth:
        return StageHealth(stage="direct", ok=True, detail="Ready.")


def proposal(sql: str = "T", confidence: float = 0.97) -> Proposal:
    return Proposal(candidate=SqlCandidate(sql=sql), confidence=confidence, engine="verified")


async def test_a_direct_engine_that_is_sure_costs_no_generation() -> None:
    setup = Setup(generation("A"), generation("C"), direct=Template(proposal()))
    done, trace = await setup.ask()
    assert (done.sql, done.caveat) == ("T", None)
    assert (trace.engine, trace.model, trace.confidence) == ("verified", None, 0.97)
    assert (setup.small.asked, trace.verdict) == ([], "accepted")


@pytest.mark.parametrize(
    "given", [None, proposal(confidence=0.5), proposal("bad"), proposal("fails"), ModelUnavailable()]
)
async def test_otherwise_the_models_are_asked(given: Any) -> None:
    setup = Setup(
        generation(*SURE),
        generation("C"),
        direct=Template(given),
        validator=FakeValidator(lambda sql: rejected() if sql == "bad" else valid(sql)),
        executor=FakeExecutor(lambda sql: ExecutionFailed() if sql == "fails" else rows_of(sql)),
    )
    done, _ = await setup.ask()
    assert done.sql == "A"


def healthy(ok: bool, **figures: int) -> FakeGenerator:
    class Engine(FakeGenerator):
        async def health(self) -> StageHealth:
            return StageHealth(stage="generator", ok=ok, detail="As told.", figures=figures)

    return Engine()


async def test_the_stage_is_ready_as_long_as_one_engine_is() -> None:
    cascade = GeneratorCascade({"small": healthy(False), "large": healthy(True, queued_requests=3)})
    health = await cascade.health()
    assert (health.ok, health.detail) == (True, "Not serving: small.")
    assert health.figures["small.ok"] is False
    assert health.figures["large.queued_requests"] == 3
    down = await GeneratorCascade({"small": healthy(False), "large": healthy(False)}).health()
    assert not down.ok


async def test_a_lost_engine_is_down_and_the_others_are_told() -> None:
    class Lost(FakeGenerator):
        async def health(self) -> StageHealth:
            raise ModelUnavailable("Gone.")

    health = await GeneratorCascade({"small": Lost(), "large": healthy(True)}).health()
    assert (health.ok, health.figures["small.detail"]) == (True, "Gone.")


async def test_streams_go_to_their_engine_and_one_generator_stands_for_itself() -> None:
    setup = Setup(generation(*TORN), generation("C"))
    trace = Trace(make_question())
    events = [e async for e in answer_events(trace.question, setup.stages, SMALL_THEN_LARGE, trace)]
    assert events[-1].answer.sql == "C"  # type: ignore[union-attr]
    alone = FakeGenerator()
    assert one_generator({"x": alone}) is alone
    cascade = one_generator({"small": setup.small, "large": setup.large})
    assert await cascade.count_tokens(("a b",)) == (2,)
    await cascade.cancel("r")


def test_the_text_of_a_generation_knows_its_probability() -> None:
    known = GeneratedText(text="a", token_count=4, mean_logprob=-0.5, finish_reason="stop")
    assert (known.logprob, known.model_copy(update={"mean_logprob": None}).logprob) == (-2.0, None)
