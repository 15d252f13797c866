"""The model's tokens: short, unambiguous, and harmless whatever a model writes."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.errors import CompileError, SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.token_reader import MAX_DEPTH
from deployments.prompt_builder.query_spec.tokens import MAX_TOKENS, decode, encode, vocabulary
from tests.unit.query_spec.spec_strategies import all_links, sample_context

CONTEXT = sample_context()
LINKS = all_links(CONTEXT)
VOCABULARY = vocabulary(CONTEXT)
DATA = Path(__file__).parents[2] / "data" / "query_spec"
CASES = [json.loads(line) for line in (DATA / "tokens.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:50])
def test_text_and_tokens_say_the_same(case: dict[str, str]) -> None:
    spec = parse(case["text"], CONTEXT)
    assert encode(spec, CONTEXT) == case["tokens"]
    assert decode(case["tokens"], CONTEXT) == canonical(spec, CONTEXT)


def test_blanks_between_tokens_are_allowed() -> None:
    assert decode(" <expenses> <count>\n", CONTEXT) == parse("expenses show count()", CONTEXT)


def test_vocabulary_has_no_token_twice_and_every_lookup_value() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert "<expenses.category='subcontractor'>" in VOCABULARY
    assert "<projects.overdue>" in VOCABULARY


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "expenses where vendors.name = 'Nobody'",
            "the value <vendors.name='Nobody'> is not in the vocabulary",
        ),
        (
            "expenses where amount > 123456",
            "the number 123456 is not in the vocabulary; allowed: an N placeholder",
        ),
        ("expenses where date > '2026-01-01'", "the text '2026-01-01' is not in the vocabulary"),
        ("expenses where amount > N9", "the placeholder N9 is not in the vocabulary"),
    ],
)
def test_what_the_vocabulary_lacks_needs_a_placeholder(text: str, says: str) -> None:
    with pytest.raises(SpecError) as raised:
        encode(parse(text, CONTEXT), CONTEXT)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("", "unexpected token 'end' at 0; allowed: a table"),
        ("expenses", "no token at 'expenses'"),
        ("<expenses", "no token at '<expenses'"),
        ("<expenses><sum>", "unexpected token 'end' at 2; allowed: a value"),
        ("<expenses><where><expenses.amount>", "allowed: a placeholder"),
        ("<expenses><expenses.amount><cannot>", "unexpected token 'cannot' at 2"),
        ("<cannot><expenses>", "unexpected token 'expenses' at 1; allowed: the end"),
        ("<expenses><labor.hours>", "labor.hours is out of reach of expenses"),
        ("<expenses><limit><V0>", "allowed: a number or an N placeholder"),
        ("<expenses><begin><expenses><expenses.amount>", "allowed: end"),
        ("<expenses><sum><labor>", "allowed: a value, not a table"),
        ("<expenses><expenses.category='labor'>", "allowed: a value"),
        ("<expenses><expenses.unpaid>", "allowed: a value"),
        ("<expenses><where><in><expenses.amount><N0>", "allowed: a D placeholder"),
        ("<expenses>" + "<abs>" * (MAX_DEPTH + 1), "nested too deeply"),
        ("<expenses>" * (MAX_TOKENS + 1), f"at most {MAX_TOKENS}"),
    ],
)
def test_malformed_output_is_refused(output: str, says: str) -> None:
    with pytest.raises(SpecError) as raised:
        decode(output, CONTEXT)
    assert says in str(raised.value)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(VOCABULARY), max_size=12).map(lambda tail: "<expenses>" + "".join(tail)))
def test_any_token_sequence_is_a_valid_specification_or_refused(output: str) -> None:
    try:
        spec = decode(output, CONTEXT)
    except SpecError:
        return
    assert decode(encode(spec, CONTEXT), CONTEXT) == spec
    assert isinstance(spec, QuerySpec)
    with suppress(CompileError):
        assert compile_spec(spec, LINKS, CONTEXT).startswith("SELECT")
