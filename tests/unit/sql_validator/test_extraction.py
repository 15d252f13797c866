"""The SQL of an output."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.sql_validator.extraction import extract_sql

OUTPUTS = Path(__file__).parents[2] / "data" / "sql_safety" / "outputs.jsonl"
CASES = [json.loads(line) for line in OUTPUTS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["output"])[:50])
def test_the_sql_of_an_output_comes_out(case: dict[str, Any]) -> None:
    assert extract_sql(case["output"]) == case["sql"]


@pytest.mark.parametrize(
    "text",
    [
        "select x with y. " * 3_000,
        "select x from y\n" * 3_000,
        "(select " * 5_000,
        "'$a$" * 10_000,
        "```select $a$ $b$ " * 2_000,
        "set a\n" * 5_000,
        "SELECT " + "+1" * 15_000,
        "\x00```\ud800",
    ],
    ids=lambda text: repr(text)[:20],
)
def test_odd_outputs_end_in_something_or_nothing(text: str) -> None:
    found = extract_sql(text)
    assert found is None or found in text
