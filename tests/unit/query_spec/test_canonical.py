"""Equal meanings have one form."""

import json
from pathlib import Path

import pytest

from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.printer import to_text
from tests.unit.query_spec.spec_strategies import sample_context

CONTEXT = sample_context()
DATA = Path(__file__).parents[2] / "data" / "query_spec"
CASES = [json.loads(line) for line in (DATA / "equal.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("form", "expected"), [(f, c["canonical"]) for c in CASES for f in (*c["forms"], c["canonical"])]
)
def test_equal_meanings_have_one_form(form: str, expected: str) -> None:
    assert to_text(canonical(parse(form, CONTEXT), CONTEXT)) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A sum over a child belongs to each project; over the expenses themselves it groups them.
        ("projects show sum(expenses.amount)", "expenses show projects.name, sum(amount)"),
        ("documents where lapsed", "documents where not (still_valid) and expires_on is null"),
        ("expenses show amount sort date", "expenses show amount sort date desc"),
    ],
)
def test_different_meanings_stay_apart(one: str, other: str) -> None:
    assert canonical(parse(one, CONTEXT), CONTEXT) != canonical(parse(other, CONTEXT), CONTEXT)
