from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.house.form import THEN, Meaning, join_links, prompt_form
from deployments.prompt_builder.house.memory import dump_meaning, load_meaning
from deployments.prompt_builder.house.profile import HouseConfig, HouseProfile
from deployments.prompt_builder.linking.linker import LinkedQuestion
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.tokens import encode
from serve_app.contracts import (
    Caller,
    Candidate,
    CannotAnswer,
    ConversationContext,
    Exchange,
    Link,
    Prompt,
    Question,
    SchemaSnapshot,
    SqlCandidate,
)
from serve_app.errors import InvalidRequest

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PACK = load_domain(ROOT / "configs/domains/construction")
SCHEMA = SchemaSnapshot.model_validate_json(
    (ROOT / "tests/data/linking/schema.json").read_text(encoding="utf-8")
)
CONTEXT = SpecContext(SCHEMA, PACK)
TOTAL = "expenses show sum(amount) where projects.name = V0 and date in D0"


async def count_words(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(len(text.split()) for text in texts)


def make_profile(config: HouseConfig | None = None) -> HouseProfile:
    return HouseProfile(PACK, TokenCounter(count_words), config)


def make_question(text: str) -> Question:
    return Question(text=text, caller=Caller(user_id="u"), request_id="r", asked_at=NOW)


def make_context(*kept: str | None) -> ConversationContext:
    exchanges = tuple(Exchange(question="?", query_spec=text, at=NOW) for text in kept)
    return ConversationContext(conversation_id="c", exchanges=exchanges)


def output_of(text: str) -> str:
    return encode(parse(text, CONTEXT), CONTEXT)


async def build(text: str, *kept: str | None, config: HouseConfig | None = None) -> Prompt:
    prompt = await make_profile(config).build(make_question(text), make_context(*kept), SCHEMA, None)
    assert isinstance(prompt, Prompt)
    return prompt


async def answered(text: str, spec: str) -> SqlCandidate:
    meaning = await make_profile().interpret(await build(text), output_of(spec), SCHEMA)
    assert isinstance(meaning, SqlCandidate)
    return meaning


async def test_a_prompt_carries_the_grammar_of_its_own_placeholders() -> None:
    text = "How much did we spend on the Granite Hotel in 2025?"
    assert (await build(text)).grammar is None
    grammar = (await build(text, config=HouseConfig(grammar=True))).grammar
    assert grammar is not None
    assert '"<projects.name>" ("<V0>")' in grammar
    assert '"<D0>"' in grammar
    assert '"<D1>"' not in grammar


async def test_a_question_alone_is_its_linked_text() -> None:
    prompt = await build("How much did we spend on the Granite Hotel in 2025?")
    assert prompt.text == "how much did we spend on the <V0> <projects.name> in <D0> <d:year>"
    assert prompt.profile == "house"
    assert prompt.token_count == 12
    assert prompt.context_used == 0
    assert [link.placeholder for link in prompt.links] == ["V0", "D0"]


async def test_tokens_become_sql_with_the_question_s_values() -> None:
    candidate = await answered("How much did we spend on the Granite Hotel in 2025?", TOTAL)
    assert "'Granite Hotel'" in candidate.sql
    assert "2025-01-01" in candidate.sql
    assert candidate.query_spec is not None


async def test_a_follow_up_carries_the_meaning_before() -> None:
    first = await answered("How much did we spend on the Granite Hotel in 2025?", TOTAL)
    prompt = await build("and this year?", first.query_spec)
    assert prompt.text is not None
    before, _, after = prompt.text.partition(THEN)
    assert after == " and <D0> <d:year>"
    assert before == output_of(TOTAL.replace("D0", "D1"))
    assert prompt.context_used == 1
    assert [(k.placeholder, k.span == (0, 0)) for k in prompt.links] == [
        ("D0", False),
        ("V0", True),
        ("D1", True),
    ]
    second = await make_profile().interpret(prompt, output_of(TOTAL), SCHEMA)
    assert isinstance(second, SqlCandidate)
    assert "'Granite Hotel'" in second.sql
    assert "date_trunc('year', CURRENT_DATE)" in second.sql


async def test_what_both_questions_name_shares_a_placeholder() -> None:
    first = await answered("How much did we spend on the Granite Hotel in 2025?", TOTAL)
    prompt = await build("how many people at granite hotel", first.query_spec)
    assert prompt.text is not None
    assert prompt.text.startswith(output_of(TOTAL))
    assert [link.placeholder for link in prompt.links] == ["V0", "D0"]


async def test_only_the_latest_meaning_is_used_and_answers_without_one_are_passed_over() -> None:
    older = (await answered("spend on the Granite Hotel in 2025", TOTAL)).query_spec
    newer = (await answered("projects", "projects show name")).query_spec
    prompt = await build("and the rest", older, newer, None)
    assert prompt.text == f"{output_of('projects show name')}{THEN} and the rest"


@pytest.mark.parametrize(
    "damaged", ["", "{}", "not json", '{"spec": "nowhere show x", "links": []}', '{"spec": 1, "links": 2}']
)
async def test_a_damaged_meaning_is_ignored(damaged: str) -> None:
    assert (await build("and the rest", damaged)).text == "and the rest"


async def test_a_name_that_the_answer_leaves_out_is_refused() -> None:
    prompt = await build("spend on the Granite Hotel in 2025")
    refused = await make_profile().interpret(
        prompt, output_of("expenses show sum(amount) where date in D0"), SCHEMA
    )
    assert isinstance(refused, CannotAnswer)
    assert refused.reason == "not_understood"
    assert "Granite Hotel" in refused.message
    lenient = make_profile(HouseConfig(name_score=1.01))
    assert isinstance(
        await lenient.interpret(prompt, output_of("expenses show sum(amount) where date in D0"), SCHEMA),
        SqlCandidate,
    )


async def test_a_name_of_the_question_before_may_be_dropped() -> None:
    first = await answered("spend on the Granite Hotel in 2025", TOTAL)
    prompt = await build("list all vendors", first.query_spec)
    assert isinstance(
        await make_profile().interpret(prompt, output_of("vendors show name"), SCHEMA), SqlCandidate
    )


async def test_cannot_tells_what_can_be_asked() -> None:
    refused = await make_profile().interpret(await build("what is the weather"), "<cannot>", SCHEMA)
    assert isinstance(refused, CannotAnswer)
    assert refused.reason == "out_of_scope"
    assert "projects" in refused.message
    assert "vendors" in refused.message


@pytest.mark.parametrize(
    "output", ["", "hello", "<expenses><nonsense>", "<expenses><where>", "SELECT 1", "<limit>" * 900]
)
async def test_output_that_is_no_specification(output: str) -> None:
    refused = await make_profile().interpret(await build("total spend"), output, SCHEMA)
    assert isinstance(refused, CannotAnswer)
    assert refused.reason == "uncompilable"
    assert "<" not in refused.message


async def test_a_placeholder_that_nothing_fills() -> None:
    refused = await make_profile().interpret(await build("total spend"), output_of(TOTAL), SCHEMA)
    assert isinstance(refused, CannotAnswer)
    assert refused.reason == "uncompilable"


async def test_a_value_of_another_column_is_refused() -> None:
    prompt = await build("total spend of Kofi")
    refused = await make_profile().interpret(
        prompt, output_of("expenses show sum(amount) where projects.name = V0"), SCHEMA
    )
    assert isinstance(refused, CannotAnswer)


async def test_too_long_drops_the_meaning_before_and_then_refuses() -> None:
    first = await answered("spend on the Granite Hotel in 2025", TOTAL)
    config = HouseConfig(max_prompt_tokens=16)
    prompt = await build("word " * 16, first.query_spec, config=config)
    assert prompt.context_used == 0
    assert prompt.truncation == ("the question before",)
    with pytest.raises(InvalidRequest, match="too long"):
        await build("word " * 17, config=config)


async def test_user_text_cannot_write_meaning_tokens() -> None:
    prompt = await build(f"{THEN} <expenses> <limit> <N0> only")
    assert prompt.text is not None
    assert "<" not in prompt.text


def make_link(name: str, number: str) -> Link:
    return Link(placeholder=name, span=(0, 1), text=number, number=number, unit="count")


def test_a_meaning_that_does_not_fit_is_left_out() -> None:
    spec = parse("expenses where amount > N0", CONTEXT)
    assert isinstance(spec, QuerySpec)
    linked = LinkedQuestion("many", tuple(make_link(f"N{n}", str(n + 10)) for n in range(8)))
    form = prompt_form(linked, Meaning(spec, (make_link("N0", "5"),)), CONTEXT)
    assert (form.text, form.has_previous) == ("many", False)
    fits = prompt_form(linked, Meaning(spec, (make_link("N0", "13"),)), CONTEXT)
    assert fits.has_previous
    assert fits.links == linked.links
    assert join_links((), Meaning(spec, ())) is None


def test_a_meaning_survives_being_kept() -> None:
    spec = parse("expenses where vendors.name = V0 and amount > N1", CONTEXT)
    assert isinstance(spec, QuerySpec)
    value = Link(
        placeholder="V0",
        span=(3, 9),
        text="O'Neil \u201cX\u201d",
        candidates=(Candidate(table="vendors", column="name", value="O'Neil", score=0.9),),
    )
    links = (value, make_link("N0", "1"), make_link("N1", "2.5"))
    kept = load_meaning(dump_meaning(Meaning(spec, links)), CONTEXT)
    assert kept == Meaning(spec, (value, links[2]))


async def test_what_the_question_says_and_the_statement_leaves_out_is_told() -> None:
    whole = await answered("spend on the Granite Hotel in 2025", TOTAL)
    assert whole.unused == ()
    part = await answered("how much did we spend in 2025", "expenses show sum(amount)")
    assert part.unused == ("2025",)
    prompt = await build("list all vendors", whole.query_spec)
    later = await make_profile().interpret(prompt, output_of("vendors show name"), SCHEMA)
    # What only the question before said may be left out.
    assert isinstance(later, SqlCandidate)
    assert later.unused == ()


async def test_words_that_nobody_knows_are_counted() -> None:
    assert (await build("how much did we spend on the Granite Hotel in 2025")).unknown_words == 0
    assert (await build("how much did we zorblax on the quuxwidgets")).unknown_words == 2
