"""The attack corpus: what must be rejected is, what must be accepted is, and nothing hangs or dies."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serve_app.contracts import ValidSql
from tests.sql_cases import attack_items, validator

ROOT = Path(__file__).resolve().parents[3]

# Accepted on purpose, with the items marked ``left_to_limits``: each is an ordinary read whose size only the
# data can tell. The executor's limits end them, which `tests/unit/executor/test_attacks_under_limits.py`
# shows.
LEFT_TO_LIMITS = {
    "R0413": "recursion over an allowed table without an end",
    "R0416": "cartesian join of three tables, counted",
    "R0417": "cartesian join, sorted",
    "R0418": "joins on inequality",
    "R0419": "string_agg over a cartesian join",
    "R0421": "DISTINCT over a cartesian join",
}

# Reads a file of JSON lines with one policy and writes the verdicts; run in a process of its own.
JSON_LINES_PROGRAM = """
import sys
from deployments.sql_validator.json_lines import verdict_lines
from deployments.sql_validator.policy import Policies
from deployments.sql_validator.validator import POLICIES_FOLDER, Validator
for line in verdict_lines(sys.stdin.buffer, Validator(Policies.load(POLICIES_FOLDER)), sys.argv[1]):
    print(line)
"""


def left_to_limits(item: dict[str, Any]) -> bool:
    return item["id"] in LEFT_TO_LIMITS or item.get("left_to_limits", False)


def named(items: tuple[dict[str, Any], ...]) -> list[Any]:
    return [pytest.param(item, id=f"{item['id']}-{item['category']}") for item in items]


# What can kill or hang a parser is tried only in the process of its own below.
HARMLESS_TO_READ = tuple(item for item in attack_items("must_reject") if not item.get("hazard"))


@pytest.mark.parametrize("item", named(HARMLESS_TO_READ))
def test_attacks_are_rejected(item: dict[str, Any]) -> None:
    verdict = validator().validate(item["sql"], item["policy"])
    if left_to_limits(item):
        assert item["category"] == "dos"
        assert verdict.accepted
        return
    assert not verdict.accepted, verdict.sql
    assert verdict.first.rule != "internal"
    assert verdict.first.reason
    assert verdict.first.message


@pytest.mark.parametrize("item", named(attack_items("must_accept")))
def test_analyses_are_accepted_and_checking_twice_changes_nothing(item: dict[str, Any]) -> None:
    verdict = validator().validate(item["sql"], item["policy"])
    assert isinstance(verdict, ValidSql), verdict
    assert validator().validate(verdict.sql, item["policy"]) == verdict.model_copy(
        update={"cap_applied": False}
    )


@pytest.mark.parametrize("policy", ["default", "restricted"])
def test_the_whole_corpus_survives_as_json_lines(policy: str) -> None:
    """In a process of its own with a time limit, so that a crash or a hang of a parser would be seen."""
    items = attack_items("must_reject") + attack_items("must_accept")
    lines = "".join(json.dumps({"sql": item["sql"]}) + "\n" for item in items)
    program = subprocess.run(
        [sys.executable, "-c", JSON_LINES_PROGRAM, policy],
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=True,
    )
    verdicts = [json.loads(line) for line in program.stdout.splitlines()]
    assert len(verdicts) == len(items)
    for item, verdict in zip(items, verdicts, strict=True):
        if item["policy"] == policy and not left_to_limits(item):
            assert verdict["accepted"] == (item["verdict"] == "must_accept"), item["id"]
