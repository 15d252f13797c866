"""Sentences for results."""

from typing import Any

import pytest

from serve_app.contracts import ColumnInfo, ExecutionResult, SemanticType
from serve_app.sentences import answer_sentence, label, printed


def result_of(
    columns: list[tuple[str, SemanticType]], rows: list[tuple[Any, ...]], **fields: Any
) -> ExecutionResult:
    infos = tuple(ColumnInfo(name=n, database_type="x", semantic_type=s) for n, s in columns)
    values = {
        "row_count": len(rows),
        "total_count": len(rows),
        "truncated": False,
        "execution_ms": 1.0,
        **fields,
    }
    return ExecutionResult(columns=infos, rows=tuple(rows), **values)


@pytest.mark.parametrize(
    ("columns", "rows", "fields", "sentence"),
    [
        ([("total_amount", "currency")], [("123456.78",)], {}, "Total amount: $123,456.78."),
        ([("total_amount", "currency")], [(-5,)], {}, "Total amount: -$5.00."),
        ([("share", "percent")], [(12.5,)], {}, "Share: 12.5%."),
        ([("n", "count")], [(1200,)], {}, "N: 1,200."),
        ([("avg", "number")], [(2.0,)], {}, "Avg: 2."),
        ([("avg", "number")], [(0.0,)], {}, "Avg: 0."),
        ([("avg", "number")], [(0.00417,)], {}, "Avg: 0.0042."),
        ([("share", "percent")], [("-0.003",)], {}, "Share: -0.003%."),
        ([("total", "currency")], [(None,)], {}, "Total: none."),
        ([("late", "boolean")], [(True,)], {}, "Late: yes."),
        ([("name", "text"), ("n", "count")], [("Oak", 3)], {}, "Name: Oak, N: 3."),
        ([("name", "text")], [("A",), ("B",)], {}, "Name: A, B."),
        ([("name", "text"), ("n", "count")], [("A", 1), ("B", 2)], {}, "2 rows."),
        ([("name", "text")], [], {}, "No rows match the question."),
        ([("a", "text")] * 5, [("x",) * 5], {}, "1 row."),
        (
            [("n", "count")],
            [(1,), (2,)],
            {"truncated": True, "total_count": 5000},
            "The first 2 of 5,000 rows.",
        ),
        (
            [("n", "count")],
            [(1,)] * 2,
            {"truncated": True, "total_count": None},
            "The first 2 rows; there are more.",
        ),
    ],
)
def test_what_the_rows_say(
    columns: list[tuple[str, SemanticType]],
    rows: list[tuple[Any, ...]],
    fields: dict[str, Any],
    sentence: str,
) -> None:
    assert answer_sentence(result_of(columns, rows, **fields)) == sentence


def test_values_stay_short_and_odd_ones_are_text() -> None:
    column = ColumnInfo(name="x", database_type="x", semantic_type="currency")
    assert printed("NaN", column) == "NaN"
    assert printed("about ten", column) == "about ten"
    assert printed({"a": 1}, column) == "…"
    text = ColumnInfo(name="x", database_type="x", semantic_type="text")
    assert len(printed("y" * 500, text)) == 60
    assert label("?column?") == "?column?"
    assert label("") == "Value"
