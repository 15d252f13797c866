"""Words of names, and roles of columns, case by case."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.prompt_builder.drafting.hints import DraftingHints
from deployments.prompt_builder.drafting.names import plural, row_noun, words_of
from deployments.prompt_builder.drafting.roles import guess_column
from serve_app.contracts import Column, ColumnStatistics, Table

DATA = Path(__file__).parents[2] / "data" / "drafting"
HINTS = DraftingHints.load()


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", cases("names"), ids=lambda case: case["name"])
def test_words_of_a_name(case: dict[str, Any]) -> None:
    noun = row_noun(case["name"], HINTS)

    assert " ".join(words_of(case["name"], HINTS)) == case["words"]
    assert (noun, plural(noun, HINTS)) == (case["noun"], case["plural"])


@pytest.mark.parametrize("case", cases("columns"), ids=lambda case: case["name"])
def test_role_of_a_column(case: dict[str, Any]) -> None:
    column = Column(
        name=case["name"],
        type=case["type"],
        nullable=True,
        enum_values=tuple(case.get("enum", ())),
        sample_values=tuple(case.get("samples", ())),
        values_complete="samples" in case,
    )
    key = (case["name"],) if case.get("key") else ()
    table = Table(name="things", columns=(column,), primary_key=key, row_estimate=case.get("rows", 100))
    figures = ColumnStatistics(mean_bytes=case.get("mean_bytes"), allowed=tuple(case.get("allowed", ())))

    guess = guess_column(table, column, figures, HINTS)

    assert guess.role == case["role"], guess.reason
    assert guess.values == tuple(case.get("values", ()))
    assert (guess.semantic, guess.unit) == (case.get("semantic"), case.get("unit"))
