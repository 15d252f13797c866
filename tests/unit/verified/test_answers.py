"""The library of examples as it changes, and the prompt builder that answers from it."""

import asyncio
from datetime import date

import pytest

from deployments.prompt_builder.builder import PromptBuilderCore
from deployments.prompt_builder.retrieval import Example, ExampleIndex
from deployments.prompt_builder.verified import library as library_module
from deployments.prompt_builder.verified.answers import VerifiedAnswers
from deployments.prompt_builder.verified.library import ExampleLibrary, example_of
from serve_app.contracts import Caller, Exchange, Prompt, SchemaSnapshot, VerifiedExample
from serve_app.errors import StoreUnavailable
from tests.prompt_cases import NOW, PACK, SAMPLE_SCHEMA, make_context, make_profile, make_question, whole_text

PERMITS = "SELECT sum(amount) AS fees FROM expenses WHERE category = 'permits' AND amount > 500"


def accepted(question: str = "Permit fees above 500 dollars", **fields: object) -> VerifiedExample:
    values = {"id": "f-1", "question": question, "sql": PERMITS, "asked_on": date(2026, 11, 1), **fields}
    return VerifiedExample.model_validate(values)


class Store:
    """A source of accepted pairs that can fail or hang."""

    def __init__(self, *pairs: VerifiedExample) -> None:
        self.pairs = pairs
        self.error: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def verified(self) -> tuple[VerifiedExample, ...]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.pairs


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


PACK_PAIR = Example(question="All permits", sql="SELECT amount FROM expenses", kind="category", id="pack:1")


async def test_accepted_pairs_stand_before_the_packs() -> None:
    library = ExampleLibrary((PACK_PAIR,), Store(accepted()).verified)
    first = await library.examples()
    assert [example.id for example in first] == ["f-1", "pack:1"]
    assert await library.examples() is first


async def test_the_store_is_asked_again_in_its_time_and_may_fail() -> None:
    store, clock = Store(), Clock()
    library = ExampleLibrary((PACK_PAIR,), store.verified, reuse_s=30, clock=clock)
    before = await library.examples()
    store.pairs = (accepted(),)
    clock.now += 29
    assert await library.examples() is before
    clock.now += 1
    assert len(await library.examples()) == 2
    store.error = StoreUnavailable()
    clock.now += 30
    assert len(await library.examples()) == 2
    assert store.asked == 3


async def test_a_store_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "REFRESH_TIMEOUT_S", 0.02)
    store = Store()
    store.hangs = True
    library = ExampleLibrary((PACK_PAIR,), store.verified)
    found = await asyncio.gather(library.examples(), library.examples())
    assert [len(examples) for examples in found] == [1, 1]
    assert store.asked == 1


def test_an_accepted_pair_loses_the_validators_cap() -> None:
    example = example_of(accepted(sql=f"{PERMITS} LIMIT 10001", row_cap=10001))
    assert example is not None
    assert "LIMIT" not in example.sql
    assert example_of(accepted(question="x" * 1001)) is None


def test_retrieval_keeps_to_the_organization() -> None:
    mine = PACK_PAIR.model_copy(update={"organization_id": "north", "id": "mine"})
    index = ExampleIndex([mine, PACK_PAIR])
    assert [e.id for e, _ in index.nearest("All permits", 5, organization_id="north")] == ["mine", "pack:1"]
    assert [e.id for e, _ in index.nearest("All permits", 5, organization_id="south")] == ["pack:1"]


async def schema(caller: Caller | None = None) -> SchemaSnapshot:
    return SAMPLE_SCHEMA


def core(library: ExampleLibrary) -> PromptBuilderCore:
    return PromptBuilderCore(schema, make_profile(library=library), verified=VerifiedAnswers(PACK, library))


async def test_a_question_of_a_verified_shape_is_proposed_a_statement() -> None:
    builder = core(ExampleLibrary((), Store(accepted()).verified))
    found = await builder.propose(make_question("permit fees above 900 dollars"), make_context())
    assert found is not None
    assert found.candidate.sql.endswith("amount > 900")
    assert (found.engine, found.source) == ("verified", "f-1")
    assert await builder.propose(make_question("permit fees"), make_context()) is None


async def test_without_verified_answers_nothing_is_proposed() -> None:
    builder = PromptBuilderCore(schema, make_profile())
    assert await builder.propose(make_question("permit fees above 900 dollars"), make_context()) is None


async def test_an_accepted_pair_is_an_example_in_prompts() -> None:
    clock, store = Clock(), Store()
    builder = core(ExampleLibrary((), store.verified, 30, clock))
    question = make_question("permit fees above 900 dollars")
    before = await builder.build(question, make_context())
    assert isinstance(before, Prompt)
    assert PERMITS not in whole_text(before)
    store.pairs = (accepted(),)
    clock.now += 31
    after = await builder.build(question, make_context())
    assert isinstance(after, Prompt)
    assert PERMITS in whole_text(after)


async def test_in_a_conversation_only_the_very_words_count() -> None:
    builder = core(ExampleLibrary((), Store(accepted()).verified))
    context = make_context(Exchange(question="Spend on permits?", sql="SELECT 1", at=NOW))
    near = await builder.propose(make_question("please, permit fees above 900 dollars"), context)
    exact = await builder.propose(make_question("permit fees above 900 dollars"), context)
    assert near is None
    assert exact is not None


async def test_the_packs_own_examples_answer() -> None:
    answers = VerifiedAnswers(PACK, ExampleLibrary((PACK_PAIR,)))
    assert await answers.propose(make_question("all permits"), make_context(), SAMPLE_SCHEMA) is not None
    assert await answers.propose(make_question("all drawings"), make_context(), SAMPLE_SCHEMA) is None
