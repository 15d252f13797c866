"""Database values as JSON values, by one rule for every result.

- NULL is null; booleans, text and enum labels are themselves.
- A numeric is a JSON number where a double keeps it exact to the cent, that is below 10^13; otherwise it is
  a string of plain decimal digits. Integers are numbers up to 2^53 - 1, otherwise strings.
- NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity": JSON has no numbers for them.
- Dates, times and intervals are ISO 8601 strings (`temporal`); infinite ones are "infinity", "-infinity".
- JSON columns are the JSON they hold; arrays are lists; composites are lists of their fields.
- Bytes are "\\x" and hexadecimal digits; ranges, UUIDs, addresses and all others are PostgreSQL's text.
"""

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import asyncpg

from serve_app.contracts import ColumnInfo, SemanticType

# 15 significant digits survive a double unchanged: 13 before the decimal point leave 2 for the cents.
LARGEST_EXACT_TO_THE_CENT = Decimal(10) ** 13
LARGEST_EXACT_INTEGER = 2**53 - 1

STANDARD_NAMES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}
INTEGER_TYPES = frozenset({"smallint", "integer", "bigint"})
NUMERIC_TYPES = INTEGER_TYPES | {"numeric", "real", "double precision", "money"}
SEMANTICS_OF_NUMBERS: frozenset[SemanticType] = frozenset({"currency", "percent", "count", "number", "id"})
DEFAULT_SEMANTICS: Mapping[str, SemanticType] = {
    "boolean": "boolean",
    "date": "date",
    "timestamp without time zone": "datetime",
    "timestamp with time zone": "datetime",
    "json": "json",
    "jsonb": "json",
    "uuid": "id",
    "money": "currency",
    **dict.fromkeys(NUMERIC_TYPES - {"money"}, "number"),
}
# count(*) without an alias is named so by PostgreSQL itself.
COUNT_NAME: Final = "count"


def json_value(value: Any) -> Any:
    """A value as asyncpg returns it, by the rule of this module."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) <= LARGEST_EXACT_INTEGER else str(value)
        case Decimal():
            return _json_decimal(value)
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case uuid.UUID():
            return str(value)
        case asyncpg.Range():
            return _range_text(value)
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple() | asyncpg.Record():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def _json_decimal(value: Decimal) -> float | int | str:
    if not value.is_finite():
        return _not_finite(value)
    if abs(value) < LARGEST_EXACT_TO_THE_CENT:
        # A sum with 0.0 turns minus zero, which no amount is, into zero.
        return float(value) + 0.0
    if value == value.to_integral_value() and abs(value) <= LARGEST_EXACT_INTEGER:
        return int(value)
    return format(value, "f")


def _not_finite(value: float | Decimal) -> str:
    if value.is_nan() if isinstance(value, Decimal) else math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _range_text(value: "asyncpg.Range[Any]") -> str:
    if value.isempty:
        return "empty"
    lower = "" if value.lower is None else json_value(value.lower)
    upper = "" if value.upper is None else json_value(value.upper)
    return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"


def json_text(text: str) -> Any:
    """A json column's text as the JSON it holds, its numbers under the same rule as numeric columns."""
    return json_value(json.loads(text, parse_float=Decimal, parse_constant=str))


def json_size_bytes(row: Sequence[Any]) -> int:
    return len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def column_infos(
    attributes: Sequence[asyncpg.Attribute], semantics: Mapping[str, SemanticType]
) -> tuple[ColumnInfo, ...]:
    return tuple(column_info(attribute.name, attribute.type.name, semantics) for attribute in attributes)


def column_info(name: str, type_name: str, semantics: Mapping[str, SemanticType]) -> ColumnInfo:
    """Describe a result column.

    Args:
        type_name: PostgreSQL's internal name, e.g. ``int8`` or ``numeric[]``.
        semantics: what names mean, from the domain pack; it decides where it fits the type.
    """
    base = type_name.removesuffix("[]")
    database_type = STANDARD_NAMES.get(base, base) + type_name[len(base) :]
    return ColumnInfo(
        name=name, database_type=database_type, semantic_type=semantic_type(name, database_type, semantics)
    )


def semantic_type(name: str, database_type: str, semantics: Mapping[str, SemanticType]) -> SemanticType:
    holds_many = database_type.endswith("[]") or database_type == "record"
    default = "json" if holds_many else DEFAULT_SEMANTICS.get(database_type, "text")
    lowered = name.lower()
    if database_type in INTEGER_TYPES:
        if lowered == "id" or lowered.endswith("_id"):
            default = "id"
        elif COUNT_NAME in lowered.split("_"):
            default = COUNT_NAME
    told = _told(lowered, semantics)
    if told is None or (told in SEMANTICS_OF_NUMBERS) != (database_type in NUMERIC_TYPES):
        return default
    # Counting something in dollars gives no dollars.
    return default if default == COUNT_NAME else told


def _told(name: str, semantics: Mapping[str, SemanticType]) -> SemanticType | None:
    """The meaning of a name, or of the longest known name within it: ``total_amount`` holds ``amount``."""
    if name in semantics:
        return semantics[name]
    words = f"_{name}_"
    held = [known for known in semantics if f"_{known}_" in words]
    return semantics[max(held, key=lambda known: (len(known), known))] if held else None
