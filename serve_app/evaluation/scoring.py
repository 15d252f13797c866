"""Whether an answer's rows equal a gold statement's: columns in any order, rows as multiset or sequence."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlglot import tokenize
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

ABSOLUTE_TOLERANCE = 0.011
RELATIVE_TOLERANCE = 1e-6
# Matching is quadratic and recursive; sorting alone settles larger results.
MOST_MATCHED_ROWS = 500
# A gold with this many columns lists whole rows; an answer may then show fewer of them.
WHOLE_ROW_COLUMNS = 5
# An outer LIMIT from here on is a display cap, no part of what was asked.
DISPLAY_CAP = 50

_STAR = re.compile(r"\s*select\s+(distinct\s+)?(\w+\.)?\*", re.IGNORECASE)
_CLOSERS = {TokenType.R_PAREN: -1, TokenType.L_PAREN: 1}

Value = str | float | bool | date | datetime | None
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A statement's result. ``width`` stands apart, as no rows tell no number of columns."""

    width: int
    rows: tuple[Row, ...]

    def column(self, position: int) -> list[Value]:
        return [row[position] for row in self.rows]


def normalised(width: int, rows: Sequence[Sequence[Any]]) -> Rows:
    return Rows(width, tuple(tuple(_value(value) for value in row) for row in rows))


def equal_rows(answer: Rows, gold: Rows, ordered: bool, gold_sql: str) -> bool:
    """Whether an answer's rows are the gold's."""
    if len(answer.rows) != len(gold.rows):
        return False
    if answer.width >= gold.width and _embeds(gold, answer, ordered):
        return True
    whole_rows = gold.width >= WHOLE_ROW_COLUMNS or _STAR.match(gold_sql) is not None
    return whole_rows and 0 < answer.width <= gold.width and _embeds(answer, gold, ordered)


def without_display_cap(sql: str) -> str:
    """A statement without its outer LIMIT (or FETCH FIRST) of `DISPLAY_CAP` or more; a smaller one stays."""
    found = _outer_limit(sql)
    if found is None or found.rows is None or found.rows < DISPLAY_CAP:
        return sql
    return (sql[: found.start] + sql[found.end :]).rstrip()


def has_outer_limit(sql: str) -> bool:
    return _outer_limit(sql) is not None


@dataclass(frozen=True, slots=True)
class _Limit:
    """An outer LIMIT's place in the text; ``rows`` is None if it is no plain number."""

    start: int
    end: int
    rows: int | None


def _outer_limit(sql: str) -> _Limit | None:
    depth = 0
    try:
        tokens = tokenize(sql, read="postgres")
    except TokenError:
        return None
    for position in range(len(tokens)):
        depth += _CLOSERS.get(tokens[position].token_type, 0)
        if depth == 0 and tokens[position].token_type in (TokenType.LIMIT, TokenType.FETCH):
            return _limit_at(tokens[position:])
    return None


def _limit_at(tokens: list[Token]) -> _Limit:
    last = 1
    if tokens[0].token_type is TokenType.FETCH:
        # FETCH FIRST 100 ROWS ONLY
        last = next((i for i, token in enumerate(tokens) if token.text.upper() == "ONLY"), len(tokens) - 1)
    number = next(
        (token.text for token in tokens[1 : last + 1] if token.token_type is TokenType.NUMBER), None
    )
    rows = int(number) if number is not None and number.isdigit() else None
    return _Limit(tokens[0].start, tokens[min(last, len(tokens) - 1)].end + 1, rows)


def _value(value: Any) -> Value:
    """The plain form in which values compare."""
    match value:
        case None | bool():
            return value
        case int() | float() | Decimal():
            return float(value)
        case str():
            return value.strip()
        case datetime():
            naive = value.replace(tzinfo=None)
            return naive.date() if naive.time() == time() else naive
        case date():
            return value
    return str(value)


def _embeds(few: Rows, many: Rows, ordered: bool) -> bool:
    """Whether every column of ``few`` has one of its own in ``many`` such that the rows agree."""
    candidates = [
        [other for other in range(many.width) if _same_column(few.column(own), many.column(other), ordered)]
        for own in range(few.width)
    ]
    for choice in _injections(candidates, ()):
        chosen = [tuple(row[i] for i in choice) for row in many.rows]
        if ordered or _same_multiset(few.rows, chosen):
            return True
    return False


def _injections(candidates: list[list[int]], taken: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if len(taken) == len(candidates):
        yield taken
        return
    for other in candidates[len(taken)]:
        if other not in taken:
            yield from _injections(candidates, (*taken, other))


def _same_column(own: list[Value], other: list[Value], ordered: bool) -> bool:
    if ordered:
        return all(map(_same, own, other))
    return _same_multiset([(value,) for value in own], [(value,) for value in other])


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    return type(one) is type(other) and one == other


def _same_multiset(few: Sequence[Row], many: Sequence[Row]) -> bool:
    """Rows agree one to one: exactly in what is no number, within the tolerance in numbers."""
    groups, others = _grouped(few), _grouped(many)
    return groups.keys() == others.keys() and all(_pair_up(groups[key], others[key]) for key in groups)


def _grouped(rows: Sequence[Row]) -> dict[tuple[Any, ...], list[tuple[float, ...]]]:
    """Numbers of the rows by everything else in them."""
    groups: defaultdict[tuple[Any, ...], list[tuple[float, ...]]] = defaultdict(list)
    for row in rows:
        rest = tuple((type(v).__name__, v) if not isinstance(v, float) else "number" for v in row)
        groups[rest].append(tuple(v for v in row if isinstance(v, float)))
    return groups


def _pair_up(own: list[tuple[float, ...]], other: list[tuple[float, ...]]) -> bool:
    """Whether each number row has a partner of its own. In sorted order nearly always the next one."""
    if len(own) != len(other):
        return False
    own, other = sorted(own), sorted(other)
    if all(map(_near, own, other)):
        return True
    return len(own[0]) > 1 and _matching_exists(own, other)


def _near(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(map(_same, one, other))


def _matching_exists(own: list[tuple[float, ...]], other: list[tuple[float, ...]]) -> bool:
    """Perfect matching by augmenting paths (Kuhn), for values within the tolerance that sort differently."""
    if len(own) > MOST_MATCHED_ROWS:
        return False
    neighbours = [[j for j, candidate in enumerate(other) if _near(row, candidate)] for row in own]
    partner: dict[int, int] = {}

    def augment(row: int, seen: set[int]) -> bool:
        for j in neighbours[row]:
            if j not in seen:
                seen.add(j)
                if j not in partner or augment(partner[j], seen):
                    partner[j] = row
                    return True
        return False

    return all(augment(row, set()) for row in range(len(own)))
