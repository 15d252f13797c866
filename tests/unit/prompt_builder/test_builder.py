import asyncio

import pytest
from fakes import make_prompt

from deployments.prompt_builder.builder import PromptBuilderCore
from serve_app.contracts import Caller, CannotAnswer, Prompt, SchemaSnapshot, SqlCandidate
from serve_app.errors import DatabaseUnavailable, InvalidRequest
from tests.prompt_cases import SAMPLE_SCHEMA, make_context, make_profile, make_question


class SchemaSourceFake:
    """Counts reads; fails while ``down``."""

    def __init__(self) -> None:
        self.reads = 0
        self.down = False
        self.schema = SAMPLE_SCHEMA

    async def __call__(self, caller: Caller | None = None) -> SchemaSnapshot:
        self.reads += 1
        await asyncio.sleep(0)
        if self.down:
            raise DatabaseUnavailable(detail="connection refused")
        return self.schema


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_core(source: SchemaSourceFake, clock: Clock | None = None) -> PromptBuilderCore:
    return PromptBuilderCore(source, make_profile(), schema_reuse_s=30.0, clock=clock or Clock())


async def test_a_question_becomes_a_prompt_and_its_output_sql() -> None:
    core = make_core(SchemaSourceFake())
    prompt = await core.build(make_question("how many jobs"), make_context())
    assert isinstance(prompt, Prompt)
    assert prompt.schema_fingerprint == SAMPLE_SCHEMA.fingerprint
    outputs = ("SELECT count(*) FROM projects", "SELECT 1")
    assert await core.interpret(prompt, outputs) == tuple(SqlCandidate(sql=output) for output in outputs)


async def test_the_schema_is_read_again_only_after_its_time() -> None:
    source, clock = SchemaSourceFake(), Clock()
    core = make_core(source, clock)
    built = [await core.build(make_question("how many jobs"), make_context()) for _ in range(3)]
    assert source.reads == 1
    assert [prompt.schema_cached for prompt in built if isinstance(prompt, Prompt)] == [False, True, True]
    clock.now += 30.0
    await core.build(make_question("how many jobs"), make_context())
    assert source.reads == 2


async def test_questions_at_the_same_time_share_one_read() -> None:
    source = SchemaSourceFake()
    core = make_core(source)
    await asyncio.gather(*(core.build(make_question("how many jobs"), make_context()) for _ in range(5)))
    assert source.reads == 1


@pytest.mark.parametrize("text", ["", "  \n\t "])
async def test_an_empty_question_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        await make_core(SchemaSourceFake()).build(make_question(text), make_context())


async def test_health_tells_of_a_missing_database_and_recovers() -> None:
    source = SchemaSourceFake()
    source.down = True
    core = make_core(source)
    sick = await core.health()
    assert not sick.ok
    assert "refused" not in sick.detail
    source.down = False
    well = await core.health()
    assert well.ok
    assert well.figures["tables"] == len(SAMPLE_SCHEMA.tables)


async def test_a_schema_without_tables_is_not_healthy() -> None:
    source = SchemaSourceFake()
    source.schema = SAMPLE_SCHEMA.model_copy(update={"tables": ()})
    assert not (await make_core(source).health()).ok


async def test_an_output_that_a_reader_stumbles_over_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Stumbling:
        async def build(self, *_: object) -> Prompt:
            return make_prompt()

        async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> SqlCandidate:
            return SqlCandidate(sql=str(1 // int(output)))

    core = PromptBuilderCore(SchemaSourceFake(), Stumbling())
    prompt = await core.build(make_question("q"), make_context())
    assert isinstance(prompt, Prompt)
    good, bad = await core.interpret(prompt, ("1", "0"))
    assert good == SqlCandidate(sql="1")
    assert isinstance(bad, CannotAnswer)
    assert "ZeroDivisionError" in caplog.text


async def test_each_engine_is_asked_in_its_own_profile() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self._name = name

        async def build(self, *_: object) -> Prompt:
            return make_prompt(self._name)

        async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> SqlCandidate:
            return SqlCandidate(sql=f"{self._name}: {output}")

    core = PromptBuilderCore(SchemaSourceFake(), Named("first"), later={"large": Named("second")})
    for engine, profile in (("small", "first"), ("large", "second")):
        prompt = await core.build(make_question("q"), make_context(), None, engine)
        assert isinstance(prompt, Prompt)
        assert (prompt.question, prompt.engine) == (profile, engine)
        assert await core.interpret(prompt, ("x",)) == (SqlCandidate(sql=f"{profile}: x"),)
