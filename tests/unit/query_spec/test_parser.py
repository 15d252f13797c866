"""The text form: what is read, and what is said about what cannot be read."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.prompt_builder.query_spec.derived import check_derived, derived_value
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.name_reader import MAX_DEPTH
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Arithmetic,
    ColumnRef,
    Compare,
    NumberLiteral,
    QuerySpec,
    TextLiteral,
)
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.printer import to_text
from tests.unit.query_spec.spec_strategies import sample_context

CONTEXT = sample_context()
DATA = Path(__file__).parents[2] / "data" / "query_spec"
FAULTS = [json.loads(line) for line in (DATA / "faults.jsonl").read_text(encoding="utf-8").splitlines()]


def read(text: str) -> QuerySpec:
    spec = parse(text, CONTEXT)
    assert isinstance(spec, QuerySpec)
    return spec


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["text"][:40])
def test_a_fault_says_what_is_wrong_and_what_is_allowed(fault: dict[str, str]) -> None:
    with pytest.raises(SpecError) as raised:
        parse(fault["text"], CONTEXT)
    assert fault["says"] in str(raised.value)


def test_names_in_an_aggregate_over_a_child_are_the_childs_first() -> None:
    spec = read("projects show sum(expenses.amount if category = 'permits' and budget > 5)")
    aggregate = spec.show[0]
    assert isinstance(aggregate, Aggregate)
    assert aggregate.conditions == (
        Compare("=", ColumnRef("expenses", "category"), TextLiteral("permits")),
        Compare(">", ColumnRef("projects", "budget"), NumberLiteral("5")),
    )


def test_a_childs_name_inside_any_hides_the_outer_one() -> None:
    spec = read("projects where any(documents if status = 'draft')")
    assert "documents.status = 'draft'" in to_text(spec)


def test_a_parenthesis_may_open_a_sum_or_a_choice() -> None:
    spec = read("expenses where (amount + 1) > 5 and (amount > 5 or (category = 'labor' and amount > 1))")
    first = spec.where[0]
    assert isinstance(first, Compare)
    assert isinstance(first.left, Arithmetic)
    assert len(spec.where) == 2


def test_products_bind_before_sums() -> None:
    assert (
        to_text(read("expenses show amount - 2 * amount / 3"))
        == "expenses show (amount - ((2 * amount) / 3))"
    )


def test_keywords_and_odd_names_stand_in_double_quotes() -> None:
    assert to_text(read('"expenses" show "amount"')) == "expenses show amount"
    with pytest.raises(SpecError, match="no column 'Total Amount'"):
        parse('expenses show "Total Amount"', CONTEXT)


def test_nesting_is_bounded() -> None:
    with pytest.raises(SpecError, match="nested too deeply"):
        parse("expenses show " + "(" * (MAX_DEPTH + 1) + "amount", CONTEXT)


def test_every_derived_name_of_the_pack_can_be_read() -> None:
    check_derived(CONTEXT)
    assert derived_value("projects", "budget", CONTEXT) is None
    assert derived_value("projects", "variance", CONTEXT) == Arithmetic(
        "-", ColumnRef("projects", "budget"), ColumnRef("projects", "actual")
    )


@given(st.text(max_size=60))
def test_any_text_is_a_specification_or_a_spec_error(text: str) -> None:
    with suppress(SpecError):
        assert parse(text, CONTEXT) == parse(text, CONTEXT)
