"""Annotated questions are told apart: right, wrong, unreadable, unlinked, or beyond the model's words."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.prompt_builder.synthesis.annotation import (
    AnnotatedQuestion,
    AnnotationChecker,
    Checked,
    check_files,
    load_annotations,
    summary,
)
from tests.unit.query_spec.spec_strategies import sample_context

GOLD = "SELECT sum(amount) FROM expenses WHERE category = 'permits' AND date >= DATE '2026-01-01'"
ITEM: dict[str, Any] = {
    "question": "what did permits cost since January 2026",
    "spec": "expenses show sum(amount) where category = 'permits' and date in D0",
    "links": {"D0": ["DATE '2026-01-01'", None]},
    "gold": ["SELECT 1", GOLD],
}


async def checked(database: EmbeddedDatabase, **changes: Any) -> Checked:
    connection = await asyncpg.connect(database.dsn)
    try:
        checker = AnnotationChecker(sample_context(), connection, date.today())
        return await checker.check(AnnotatedQuestion.model_validate({**ITEM, **changes}))
    finally:
        await connection.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({}, "equal", ""),
        ({"links": None}, "equal", ""),
        ({"gold": ["SELECT 1"]}, "different", "gold 1 rows of 1"),
        ({"spec": "expenses show total"}, "invalid", "no column 'total'"),
        ({"spec": "cannot"}, "cannot", ""),
        ({"links": {}}, "uncompilable", "no link fills D0"),
        ({"links": {"D0": ["no_such_function()", None]}}, "failed", "no_such_function"),
    ],
)
async def test_every_outcome_has_its_name(
    changes: dict[str, Any], status: str, detail: str, sample_database: EmbeddedDatabase
) -> None:
    result = await checked(sample_database, **changes)
    assert (result.status, result.unsayable) == (status, "")
    assert detail in result.detail


@pytest.mark.postgres
async def test_a_literal_beyond_the_models_words_is_told(sample_database: EmbeddedDatabase) -> None:
    spec = "expenses show sum(amount) where category = 'permits' and date >= '2026-01-01'"
    result = await checked(sample_database, spec=spec)
    assert result.status == "equal"
    assert "'2026-01-01' is not in the vocabulary" in result.unsayable


@pytest.mark.postgres
async def test_files_are_summed_up_by_difficulty(tmp_path: Path, sample_database: EmbeddedDatabase) -> None:
    path = tmp_path / "annotations.jsonl"
    rows = [{**ITEM, "difficulty": "simple"}, {**ITEM, "difficulty": "hard", "gold": ["SELECT 1"]}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    connection = await asyncpg.connect(sample_database.dsn)
    try:
        results = await check_files([path], AnnotationChecker(sample_context(), connection, date.today()))
    finally:
        await connection.close()
    assert summary(results).splitlines() == [
        "simple   1/1 equal (1 equal)",
        "hard     0/1 equal (1 different)",
        "0 hold a literal that the model cannot write",
    ]


def test_a_line_that_is_no_annotation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "annotations.jsonl"
    path.write_text(json.dumps(ITEM) + '\n{"question": "x"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"annotations\.jsonl:2 is no annotation"):
        list(load_annotations(path))
