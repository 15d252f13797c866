"""Refuses a statement whose plan is too large, before any of it runs.

The planner sees cartesian products and unbounded joins that a time limit would only end after seconds of
work. It does not see what an expression or a recursion costs: those are left to the limits of time, memory
and temporary files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployments.executor.config import ExecutorConfig
from deployments.executor.pool import PooledConnection
from serve_app.errors import ExecutionFailed

EXPLAIN = "EXPLAIN (FORMAT JSON) "
TOO_MUCH = "The query would have to go through too much data. Narrow it down, e.g. to one project or month."
# Nodes that read all of their input before they give a row, so that a LIMIT above saves them nothing.
BLOCKING = frozenset({"Sort", "Hash", "WindowAgg", "Bitmap Index Scan", "Bitmap Heap Scan"})
# Children that a node reads row by row; any other (inner sides, subplans, CTEs) may be read to its end.
READ_ON_DEMAND = frozenset({"Outer", "Subquery", "Member"})


@dataclass(frozen=True)
class PlanSize:
    """``cost`` in the planner's units (one is a sequential page read); ``rows`` of the plan's widest step."""

    cost: float
    rows: float


async def check_plan(connection: PooledConnection, sql: str, config: ExecutorConfig) -> None:
    """Ask the planner for its estimate of the statement, and refuse what is beyond the configured size.

    Raises:
        ExecutionFailed: the plan is too large; ``detail`` names the estimate and the settings.
        asyncpg.PostgresError.
    """
    try:
        (explained,) = await connection.fetchval(EXPLAIN + sql)
        size = plan_size(explained["Plan"])
    except RecursionError as error:
        raise ExecutionFailed(TOO_MUCH, detail="the plan is nested too deeply to be read") from error
    if size.cost > config.max_plan_cost or size.rows > config.max_plan_rows:
        raise ExecutionFailed(
            TOO_MUCH,
            detail=f"the plan costs {size.cost:.0f} and has a step of {size.rows:.0f} rows; allowed are "
            f"{config.max_plan_cost:.0f} (max_plan_cost) and {config.max_plan_rows} (max_plan_rows)",
        )


def plan_size(plan: Mapping[str, Any]) -> PlanSize:
    """The size of a plan as EXPLAIN's JSON gives it. The planner's cost knows of a LIMIT, its rows do not."""
    return PlanSize(float(plan["Total Cost"]), max(_rows(plan, 1.0)))


def _rows(node: Mapping[str, Any], share: float) -> Iterator[float]:
    """Rows of the node and of all below it; ``share`` is the part of them that a LIMIT above lets be read."""
    rows = float(node["Plan Rows"])
    yield rows * share
    for child in node.get("Plans", ()):
        below = share
        if node["Node Type"] == "Limit":
            below *= min(1.0, rows / max(float(child["Plan Rows"]), 1.0))
        reads_all = _is_blocking(node) or child.get("Parent Relationship") not in READ_ON_DEMAND
        yield from _rows(child, 1.0 if reads_all else below)


def _is_blocking(node: Mapping[str, Any]) -> bool:
    kind = node["Node Type"]
    return kind in BLOCKING or (kind in ("Aggregate", "SetOp") and node.get("Strategy") != "Sorted")
