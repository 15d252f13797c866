"""A short sentence for a result, made from the columns' meaning by plain code: nothing here is generated."""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from serve_app.contracts import ColumnInfo, ExecutionResult, SemanticType

# A sentence lists short results whole; longer ones are counted.
MAX_LISTED_ROWS = 5
MAX_LISTED_COLUMNS = 4
MAX_LISTED_CHARS = 60


def answer_sentence(result: ExecutionResult) -> str:
    """What the rows say, in one sentence."""
    if result.row_count == 0:
        return "No rows match the question."
    if result.row_count == 1 and len(result.columns) <= MAX_LISTED_COLUMNS:
        row = result.rows[0]
        return (
            ", ".join(f"{label(c.name)}: {printed(v, c)}" for c, v in zip(result.columns, row, strict=True))
            + "."
        )
    if result.row_count <= MAX_LISTED_ROWS and len(result.columns) == 1 and not result.truncated:
        column = result.columns[0]
        return f"{label(column.name)}: {', '.join(printed(row[0], column) for row in result.rows)}."
    if result.truncated:
        if result.total_count is None:
            return f"The first {result.row_count:,} rows; there are more."
        return f"The first {result.row_count:,} of {result.total_count:,} rows."
    return f"{result.row_count:,} {'row' if result.row_count == 1 else 'rows'}."


def label(name: str) -> str:
    """``total_amount`` as people read it: ``Total amount``."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else "Value"


def printed(value: Any, column: ColumnInfo) -> str:
    """A value as people read it; exact to the cent, NULL as "none"."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return "…"
    number = _decimal(value) if column.semantic_type in _NUMERIC else None
    if number is not None:
        return _number(number, column.semantic_type)
    text = value.isoformat() if isinstance(value, date | datetime) else str(value)
    return text if len(text) <= MAX_LISTED_CHARS else text[: MAX_LISTED_CHARS - 1] + "…"


_NUMERIC: frozenset[SemanticType] = frozenset({"currency", "percent", "count", "number"})


def _decimal(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number(number: Decimal, semantic: SemanticType) -> str:
    if semantic == "currency":
        sign = "-" if number < 0 else ""
        return f"{sign}${abs(number):,.2f}"
    if semantic == "percent":
        return f"{_trimmed(number)}%"
    return _trimmed(number)


def _trimmed(number: Decimal) -> str:
    """At most two decimals, more where two would say zero of what is not; no zeros at their end."""
    text = f"{number:,.2f}" if not number or abs(number) >= Decimal("0.01") else f"{round_small(number):f}"
    return text.rstrip("0").rstrip(".")


def round_small(number: Decimal) -> Decimal:
    """Two significant digits."""
    return number.quantize(Decimal(1).scaleb(number.adjusted() - 1))
