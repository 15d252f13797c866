"""Window functions over rows or over groups."""

from dataclasses import dataclass

from deployments.prompt_builder.query_spec.compiler.sql import Sql
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import NumberLiteral, Window


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a window runs: SQL of its order, which leaves no ties, and of its partition."""

    order: tuple[str, ...]
    partition: tuple[str, ...]


def window_sql(node: Window, value: Sql, frame: Frame) -> Sql:
    """SQL of a window function of ``value``.

    Raises:
        CompileError: the function needs an order and there is none.
    """
    partition = f"PARTITION BY {', '.join(frame.partition)}" if frame.partition else ""
    if node.name == "rank":
        return Sql(f"RANK() OVER ({_spaced(partition, f'ORDER BY {value.text} DESC NULLS LAST')})")
    if node.name == "share":
        return Sql(f"100.0 * {value.within(1)} / NULLIF(SUM({value.text}) OVER ({partition}), 0)", 2)
    if not frame.order:
        raise CompileError(f"{node.name} needs an order: a date in show, or sort")
    over = f"OVER ({_spaced(partition, 'ORDER BY ' + ', '.join(frame.order))})"
    previous = f"LAG({value.text}) {over}"
    match node.name:
        case "running":
            return Sql(f"SUM({value.text}) {over}")
        case "previous":
            return Sql(previous)
        case "change":
            return Sql(f"{value.within(3)} - {previous}", 3)
        case "growth":
            return Sql(f"100.0 * ({value.within(3)} - {previous}) / NULLIF({previous}, 0)", 2)
    raise CompileError(f"no window function {node.name}")


def _spaced(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def running_share(value: Sql, frame: Frame) -> Sql:
    """The running percentage of the total, e.g. for a Pareto list."""
    partition = f"PARTITION BY {', '.join(frame.partition)}" if frame.partition else ""
    running = window_sql(Window("running", NumberLiteral("0")), value, frame).text
    return Sql(f"100.0 * {running} / NULLIF(SUM({value.text}) OVER ({partition}), 0)", 2)
