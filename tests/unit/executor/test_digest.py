"""Equal rows have equal digests, whatever the order of columns and rows, and only they."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.executor.digest import canonical, digest

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.decimals(-99, 99, places=2),
    st.text("ab ", max_size=3),
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[VALUES] * width), min_size=1, max_size=6)
)


@given(TABLES, st.randoms())
def test_the_order_of_rows_and_columns_does_not_matter(table: list[tuple[Any, ...]], random: Any) -> None:
    names = [f"c{place}" for place in range(len(table[0]))]
    places = list(range(len(names)))
    random.shuffle(places)
    shuffled = [tuple(row[p] for p in places) for row in table]
    random.shuffle(shuffled)
    found = digest(names, table)
    assert digest([names[p] for p in places], shuffled).rows == found.rows
    renamed = digest(names, [tuple(row[p] for p in sorted(places)) for row in table])
    assert renamed.sequence == found.sequence


@given(TABLES)
def test_a_changed_value_is_another_result(table: list[tuple[Any, ...]]) -> None:
    names = [f"c{place}" for place in range(len(table[0]))]
    changed = [("another", *table[0][1:]), *table[1:]]
    assert digest(names, changed).rows != digest(names, table).rows


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (5, Decimal("5.00")),
        (5.0, 5),
        (Decimal("0.10"), Decimal("0.1")),
        (Decimal("-0.0"), 0),
        ("2025-01-01", "2025-01-01T00:00:00"),
        ("a ", "a"),
        (Decimal("1E+3"), 1000),
    ],
)
def test_what_says_the_same_is_equal(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (5, "5"),
        (True, 1),
        (None, "null"),
        (Decimal("12345678901234567890.01"), Decimal("12345678901234567890.02")),
        (0.1 + 0.2, Decimal("0.3")),
        ("2025-01-01T00:00:01", "2025-01-01"),
        ([1, 2], [2, 1]),
    ],
)
def test_what_differs_is_not(one: Any, other: Any) -> None:
    assert canonical(one) != canonical(other)


def test_an_empty_result_knows_its_width() -> None:
    assert digest(["a"], []).rows != digest(["a", "b"], []).rows
    assert digest(["a"], []).rows == digest(["b"], []).rows
