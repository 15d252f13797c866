"""The size of a plan: what a LIMIT saves, and what it does not."""

from typing import Any

import pytest

from deployments.executor.gate import plan_size


def node(kind: str, rows: float, *plans: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan node as EXPLAIN (FORMAT JSON) gives it."""
    return {"Node Type": kind, "Plan Rows": rows, "Total Cost": 1.0, "Plans": list(plans), **more}


def scan(rows: float, relationship: str = "Outer") -> dict[str, Any]:
    return node("Seq Scan", rows, **{"Parent Relationship": relationship})


def outer(child: dict[str, Any]) -> dict[str, Any]:
    return child | {"Parent Relationship": "Outer"}


PLANS = [
    ("the widest step counts", node("Aggregate", 1, scan(1e9), Strategy="Plain"), 1e9),
    ("a limit saves reading", node("Limit", 10, scan(1e9)), 10),
    (
        "a limit saves through a join",
        node("Limit", 10, outer(node("Nested Loop", 1e9, scan(1e4), scan(1e5, "Inner")))),
        1e5,
    ),
    ("a sort reads all", node("Limit", 10, outer(node("Sort", 1e9, scan(1e9)))), 1e9),
    (
        "a hashed aggregate reads all",
        node("Limit", 10, outer(node("Aggregate", 1e3, scan(1e8), Strategy="Hashed"))),
        1e8,
    ),
    (
        "a sorted aggregate reads on demand",
        node("Limit", 10, outer(node("Aggregate", 1e3, scan(1e8), Strategy="Sorted"))),
        1e6,
    ),
    ("a CTE may be read to its end", node("Limit", 10, scan(1e9, "InitPlan")), 1e9),
    ("texts of large numbers", node("Result", "12345678901234567890"), 12345678901234567890),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("plan", "rows"), [p[1:] for p in PLANS], ids=[p[0] for p in PLANS])
def test_rows_that_a_plan_may_go_through(plan: dict[str, Any], rows: float) -> None:
    assert plan_size(plan).rows == pytest.approx(rows)


def test_the_cost_is_that_of_the_whole() -> None:
    assert plan_size(scan(1) | {"Total Cost": 123.4}).cost == 123.4
