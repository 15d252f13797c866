"""Cases as data: tests/data/linking/*.jsonl, each with a question, its linked text and what is linked."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from deployments.prompt_builder.linking.calendar import add_months, start_of
from deployments.prompt_builder.linking.linker import Linker

DATA = Path(__file__).parents[2] / "data" / "linking"
TODAY = date(2026, 11, 20)
_STEP = re.compile(r" ([+-]) (?:INTERVAL '(\d+) (day|week|month|year)s?'|(\d+))")


def cases(name: str) -> list[Any]:
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [pytest.param(json.loads(line), id=json.loads(line)["q"]) for line in lines]


def evaluate(sql: str | None) -> str | None:
    """The date of the few SQL forms that links hold."""
    if sql is None:
        return None
    if absolute := re.fullmatch(r"DATE '(\d{4}-\d\d-\d\d)'", sql):
        return absolute[1]
    base = re.match(r"CURRENT_DATE|date_trunc\('(\w+)', CURRENT_DATE\)", sql)
    assert base, sql
    day = start_of(base[1], TODAY) if base[1] else TODAY  # type: ignore[arg-type]
    rest = sql[base.end() :]
    for step in _STEP.finditer(rest):
        count = int(step[2] or step[4]) * (-1 if step[1] == "-" else 1)
        unit = step[3] or "day"
        if unit in {"month", "year"}:
            day = add_months(day, count * (12 if unit == "year" else 1))
        else:
            day = date.fromordinal(day.toordinal() + count * (7 if unit == "week" else 1))
    assert _STEP.sub("", rest) == "", sql
    return day.isoformat()


@pytest.mark.parametrize("case", cases("dates"))
def test_date_expression(linker: Linker, case: dict[str, Any]) -> None:
    linked = linker.link(case["q"], TODAY)
    assert linked.text == case["text"]
    found = [link.dates for link in linked.links if link.dates is not None]
    periods = case["periods"] if "periods" in case else [[case["from"], case["to"]]]
    assert [[evaluate(dates.start_sql), evaluate(dates.end_sql)] for dates in found] == periods
    if "sql" in case:
        assert [found[0].start_sql, found[0].end_sql] == case["sql"]


@pytest.mark.parametrize("case", cases("amounts"))
def test_amount(linker: Linker, case: dict[str, Any]) -> None:
    linked = linker.link(case["q"], TODAY)
    assert linked.text == case["text"]
    assert [link.number for link in linked.links] == case["numbers"]
    assert [link.unit for link in linked.links] == case["units"]


@pytest.mark.parametrize("case", cases("values"))
def test_value(linker: Linker, case: dict[str, Any]) -> None:
    linked = linker.link(case["q"], TODAY)
    assert linked.text == case["text"]
    named = [[f"{c.table}.{c.column}={c.value}" for c in k.candidates] for k in linked.links if k.candidates]
    assert named == case["values"]


@pytest.mark.parametrize("case", cases("spelling"))
def test_spelling(linker: Linker, case: dict[str, Any]) -> None:
    assert linker.link(case["q"], TODAY).text == case["text"]
