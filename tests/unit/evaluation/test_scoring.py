from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.evaluation.scoring import Rows, equal_rows, has_outer_limit, normalised, without_display_cap


def rows(*values: tuple[Any, ...], width: int | None = None) -> Rows:
    return normalised(len(values[0]) if width is None else width, values)


def equal(answer: Rows, gold: Rows, ordered: bool = False, gold_sql: str = "SELECT a FROM t") -> bool:
    return equal_rows(answer, gold, ordered, gold_sql)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (rows(("a", 1), ("b", 2)), rows((2, "b"), (1, "a"))),  # any order of columns and rows
        (rows(("a", 1, None)), rows((1,))),  # extra columns
        (rows((Decimal("10.004"),)), rows((10.01,))),  # within 0.011
        (rows((1_000_000.5,)), rows((1_000_001,))),  # within one in a million
        (rows((datetime(2026, 1, 1, tzinfo=UTC),)), rows((date(2026, 1, 1),))),  # midnight is a date
        (rows((" Ada ",)), rows(("Ada",))),  # text trimmed
        (rows(width=2), rows(width=1)),  # no rows
        (rows((True, None)), rows((None, True))),
        (rows((1, 1, 2), (1, 2, 1)), rows((1, 2), (2, 1))),
    ],
)
def test_equal(answer: Rows, gold: Rows) -> None:
    assert equal(answer, gold)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (rows(("a",), ("b",)), rows(("a",))),  # a row too many
        (rows(("a",), ("a",)), rows(("a",), ("b",))),  # multiset, not set
        (rows((1,)), rows((1, 2))),  # a column missing
        (rows((10.0,)), rows((10.02,))),
        (rows((None,)), rows((0,))),
        (rows((True,)), rows((1,))),
        (rows(("1",)), rows((1,))),
        (rows(("ada",)), rows(("Ada",))),
        (rows((datetime(2026, 1, 1, 8),)), rows((date(2026, 1, 1),))),
        # Each column is there, but the rows do not go together.
        (rows(("a", 1), ("b", 2)), rows(("a", 2), ("b", 1))),
        # One column of the answer cannot stand for two of the gold.
        (rows((1, "x")), rows((1, 1))),
    ],
)
def test_different(answer: Rows, gold: Rows) -> None:
    assert not equal(answer, gold)


def test_order_counts_only_where_it_is_asked_for() -> None:
    one, other = rows(("a",), ("b",)), rows(("b",), ("a",))
    assert equal(one, other)
    assert not equal(one, other, ordered=True)
    assert equal(one, rows(("a",), ("b",)), ordered=True)


@pytest.mark.parametrize("gold_sql", ["SELECT * FROM t", "select distinct t.* from t"])
def test_whole_row_golds_take_a_subset_of_their_columns(gold_sql: str) -> None:
    gold = rows(("a", 1), ("b", 2))
    assert equal(rows(("b",), ("a",)), gold, gold_sql=gold_sql)
    assert not equal(rows(("b",), ("c",)), gold, gold_sql=gold_sql)
    assert not equal(rows(("a", "z"), ("b", "z")), gold, gold_sql=gold_sql)
    assert not equal(rows(("a",), ("b",)), gold)


def test_five_columns_are_a_whole_row() -> None:
    gold = rows((1, "a", "b", "c", "d"), (2, "e", "f", "g", "h"))
    assert equal(rows((1, "a"), (2, "e")), gold)
    assert not equal(rows((1, "a"), (2, "e")), rows((1, "a", "b", "c"), (2, "e", "f", "g")))


def test_numbers_within_the_tolerance_may_sort_differently() -> None:
    # Sorted by the first number the second ones stand crosswise; one to one they agree.
    gold = rows((1.000, 5.0), (1.005, 9.0))
    assert equal(rows((1.006, 5.0), (1.001, 9.0)), gold)
    assert not equal(rows((1.006, 5.0), (1.001, 5.0)), gold)


cells = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab ", max_size=2) | st.dates()


@given(st.lists(st.tuples(cells, cells, cells), max_size=8), st.permutations([0, 1, 2]), st.randoms())
def test_any_shuffle_of_rows_and_columns_is_equal(
    table: list[tuple[Any, ...]], order: list[int], random: Any
) -> None:
    shuffled = [tuple(row[i] for i in order) for row in table]
    random.shuffle(shuffled)
    assert equal(normalised(3, shuffled), normalised(3, table))


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6), st.integers(0, 5))
def test_a_changed_number_of_rows_is_never_equal(table: list[tuple[Any, ...]], which: int) -> None:
    fewer = [row for i, row in enumerate(table) if i != which % len(table)]
    assert not equal(normalised(2, fewer), normalised(2, table), gold_sql="SELECT * FROM t")


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("SELECT a FROM t LIMIT 100", "SELECT a FROM t"),
        ("SELECT a FROM t ORDER BY a LIMIT 50", "SELECT a FROM t ORDER BY a"),
        ("SELECT a FROM t limit 1000 OFFSET 20", "SELECT a FROM t  OFFSET 20"),
        ("SELECT a FROM t FETCH FIRST 200 ROWS ONLY", "SELECT a FROM t"),
        ("SELECT a FROM t LIMIT 49", None),
        ("SELECT a FROM t LIMIT ALL", None),
        ("SELECT a FROM t LIMIT 10 + 90", None),
        ("SELECT a FROM t", None),
        ("SELECT a FROM (SELECT a FROM t LIMIT 100) AS s", None),
        ("WITH s AS (SELECT a FROM t LIMIT 100) SELECT a FROM s LIMIT 10", None),
        ("SELECT 'LIMIT 100' FROM t -- LIMIT 100", None),
    ],
)
def test_only_an_outer_display_cap_is_dropped(sql: str, kept: str | None) -> None:
    assert without_display_cap(sql) == (sql if kept is None else kept)


def test_outer_limits_are_told_from_inner_ones() -> None:
    assert has_outer_limit("SELECT a FROM t ORDER BY a LIMIT 3")
    assert has_outer_limit("SELECT a FROM t FETCH FIRST ROW ONLY")
    assert not has_outer_limit("SELECT a FROM t WHERE a IN (SELECT a FROM s LIMIT 3)")
    assert not has_outer_limit("'unclosed")
