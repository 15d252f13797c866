"""What constant date expressions of SQL mean: two are the same if they give the same day whenever asked."""

import re
from datetime import date, timedelta
from typing import Final

from sqlglot import exp

from deployments.prompt_builder.linking.calendar import Unit, add_months, start_of
from serve_app.contracts import DateRange
from serve_app.sql_tree import sql_tree

# Days on which every pair of different expressions that people use differs: a leap day, ends and beginnings
# of months, quarters and years, and each a different weekday.
REFERENCE_DAYS: Final = (
    date(2023, 5, 31),
    date(2024, 2, 29),
    date(2025, 1, 1),
    date(2025, 12, 30),
    date(2026, 8, 15),
    date(2026, 11, 20),
    date(2027, 4, 5),
)

_ISO_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_STEP: Final = re.compile(r"\s*(-?\d{1,5})\s*(day|week|month|year)s?", re.IGNORECASE)
_DAY_TYPES: Final = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ)
_UNITS: Final[dict[str, Unit]] = {unit: unit for unit in ("day", "week", "month", "quarter", "year")}

Signature = tuple[date, ...]
RangeSignature = tuple[Signature | None, Signature | None]


def day_of(node: exp.Expr, today: date) -> date | None:
    """The day that a constant expression means when asked on ``today``; None if it is no such expression.

    Understood are ISO literals, CURRENT_DATE, date_trunc, casts to dates and timestamps, and whole days,
    weeks, months and years added or taken off: what the linker writes, and what people write for the same.
    """
    try:
        return _day_of(node, today)
    except (ValueError, OverflowError):
        return None


def signature(node: exp.Expr) -> Signature | None:
    """The days that an expression means on all reference days."""
    days = tuple(day_of(node, today) for today in REFERENCE_DAYS)
    known = tuple(day for day in days if day is not None)
    return known if len(known) == len(days) else None


def read_bound(sql: str | None) -> exp.Expr | None:
    """The expression of one bound of a linked range; None unless it is nothing but a constant date."""
    node = None if sql is None else sql_tree(sql)
    return node if node is not None and signature(node) is not None else None


def range_signature(dates: DateRange) -> RangeSignature | None:
    """Both bounds' signatures; None if a bound that is there cannot be read."""
    bounds = tuple(read_bound(sql) for sql in (dates.start_sql, dates.end_sql))
    if any(
        sql and bound is None for sql, bound in zip((dates.start_sql, dates.end_sql), bounds, strict=True)
    ):
        return None
    start, end = (signature(bound) if bound is not None else None for bound in bounds)
    return start, end


def is_absolute(found: Signature | None) -> bool:
    """Whether a bound is the same day whenever asked."""
    return found is not None and len(set(found)) == 1


def _day_of(node: exp.Expr, today: date) -> date | None:
    match node:
        case exp.CurrentDate():
            return today
        case exp.Literal() if node.is_string and _ISO_DAY.fullmatch(node.name):
            return date.fromisoformat(node.name)
        case exp.Paren():
            return _day_of(node.this, today)
        case exp.Cast() if node.to.this in _DAY_TYPES:
            return _day_of(node.this, today)
        case exp.TimestampTrunc() | exp.DateTrunc():
            unit = _UNITS.get(node.text("unit").lower())
            inner = _day_of(node.this, today)
            return start_of(unit, inner) if unit and inner else None
        case exp.Add() | exp.Sub():
            return _moved(node, today)
    return None


def _moved(node: exp.Add | exp.Sub, today: date) -> date | None:
    start = _day_of(node.this, today)
    if start is None:
        return None
    sign = -1 if isinstance(node, exp.Sub) else 1
    by = node.expression
    if isinstance(by, exp.Literal) and not by.is_string:
        return start + timedelta(days=sign * int(by.name))
    step = _STEP.fullmatch(_interval_text(by))
    if step is None:
        return None
    count, unit = sign * int(step[1]), step[2].lower()
    if unit in ("day", "week"):
        return start + timedelta(days=count * (7 if unit == "week" else 1))
    return add_months(start, count * (12 if unit == "year" else 1))


def _interval_text(node: exp.Expr) -> str:
    if isinstance(node, exp.Interval):
        return f"{node.this.name if node.this else ''} {node.text('unit')}".strip()
    if isinstance(node, exp.Cast) and node.to.this == exp.DType.INTERVAL:
        return str(node.this.name)
    return ""
