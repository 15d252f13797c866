"""Whether two statements give the same rows: digests of results, exact, whatever the columns are called.

A column is known by its values, so ``SELECT a, b`` and ``SELECT b, a`` are equal. Numbers compare by value
(5, 5.0 and 5.00 are one), midnight equals its date, and nothing is rounded.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from deployments.executor.formatting import json_value

_MIDNIGHT: Final = "T00:00:00"

Row = tuple[str, ...]


class ResultDigest(NamedTuple):
    """``rows``: of the rows as a multiset; ``sequence``: of the rows as they come."""

    rows: str
    sequence: str


def digest(names: Sequence[str], records: Iterable[Sequence[Any]]) -> ResultDigest:
    """The digests of a result with these column names and rows.

    Columns that hold the same multiset of values are told apart by their names alone.
    """
    rows = [tuple(canonical(value) for value in record) for record in records]
    columns = [_hash(sorted(row[place] for row in rows)) for place in range(len(names))]
    order = sorted(range(len(names)), key=lambda place: (columns[place], names[place]))
    arranged = [_hash([row[place] for place in order]) for row in rows]
    width = str(len(names))
    return ResultDigest(_hash([width, *sorted(arranged)]), _hash([width, *arranged]))


def canonical(value: Any) -> str:
    """One text for each value; texts of different kinds of values differ."""
    match value:
        case None:
            return "null"
        case bool():
            return f"b:{value}"
        case int() | float() | Decimal():
            return f"n:{_number(value)}"
        case str():
            return f"s:{value.strip().removesuffix(_MIDNIGHT)}"
    return f"j:{json.dumps(json_value(value), sort_keys=True, ensure_ascii=False)}"


def _number(value: float | Decimal) -> str:
    exact = Decimal(str(value))
    if not exact.is_finite():
        return str(exact)
    # normalize() would round to the context's 28 digits.
    text = format(exact, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _hash(parts: Iterable[str]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        found.update(len(raw).to_bytes(8, "big"))
        found.update(raw)
    return found.hexdigest()
