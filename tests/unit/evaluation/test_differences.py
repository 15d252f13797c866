"""Why a statement is wrong, by example."""

import json
from pathlib import Path
from typing import Any

import pytest

from serve_app.evaluation.differences import CLASSES, by_class, difference

CASES = [
    json.loads(line)
    for line in Path("tests/data/evaluation/differences.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
def test_the_class_of_a_wrong_statement(case: dict[str, Any]) -> None:
    assert difference(case["answer"], case["gold"]) == case["class"]


def test_every_class_has_a_case() -> None:
    assert {case["class"] for case in CASES} == set(CLASSES)


def test_classes_are_listed_in_the_order_of_the_rules_and_others_after_them() -> None:
    assert by_class(["refused", "wrong_rows", "clarified", "value_linking", "refused"]) == [
        *("value_linking", "wrong_rows", "clarified", "refused")
    ]
