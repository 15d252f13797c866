"""Aligns the date ranges of a question with the bounds that its verified statement puts on dates."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from sqlglot import exp

from deployments.prompt_builder.verified.alignment import Aligned
from deployments.prompt_builder.verified.columns import StoredColumns
from deployments.prompt_builder.verified.date_values import (
    REFERENCE_DAYS,
    RangeSignature,
    day_of,
    is_absolute,
    range_signature,
    read_bound,
    signature,
)
from deployments.prompt_builder.verified.slots import Role, Slot
from serve_app.contracts import Link, SchemaSnapshot

_MIRRORED: Final[dict[type[exp.Expr], type[exp.Expr]]] = {
    exp.GTE: exp.LTE,
    exp.LTE: exp.GTE,
    exp.GT: exp.LT,
    exp.LT: exp.GT,
}
_CLOCKS: Final = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Localtimestamp)
_ONE_DAY: Final = timedelta(days=1)

_Align = Callable[[exp.Expr, Sequence[Link], StoredColumns, set[int]], Aligned | None]


@dataclass(slots=True)
class _Window:
    """The bounds that one conjunction puts on one expression."""

    starts: list[exp.Expr] = field(default_factory=list)
    ends: list[tuple[exp.Expr, Role]] = field(default_factory=list)

    def signature(self) -> RangeSignature | None:
        """Start and end of the half-open range; None if it has several starts or ends."""
        if len(self.starts) > 1 or len(self.ends) > 1:
            return None
        start = signature(self.starts[0]) if self.starts else None
        end = signature(self.ends[0][0]) if self.ends else None
        if end is not None and self.ends[0][1] == "last":
            end = tuple(day + _ONE_DAY for day in end)
        return start, end


def align_dates(asked_on: date, schema: SchemaSnapshot) -> _Align:
    """The aligner of date links; absolute bounds are those of a relative range as on ``asked_on``."""

    def align(
        tree: exp.Expr, links: Sequence[Link], columns: StoredColumns, taken: set[int]
    ) -> Aligned | None:
        dated = {link.placeholder: link for link in links if link.dates is not None}
        if not dated:
            return []
        ranges: dict[str, RangeSignature] = {}
        for name, link in dated.items():
            said = range_signature(link.dates) if link.dates else None
            if said is None:
                return None
            ranges[name] = said
        found: Aligned = []
        for window in _windows(tree, columns, schema):
            meant = window.signature()
            fitting = [
                name for name, said in ranges.items() if meant and _same(meant, said, dated[name], asked_on)
            ]
            if len(fitting) > 1:
                return None
            for name in fitting:
                found += [(node, Slot(name, "start")) for node in window.starts]
                found += [(node, Slot(name, role)) for node, role in window.ends]
        return None if _left_over(tree, found, ranges) else found

    return align


def _windows(tree: exp.Expr, columns: StoredColumns, schema: SchemaSnapshot) -> Iterator[_Window]:
    windows: defaultdict[tuple[int, str], _Window] = defaultdict(_Window)
    for node in tree.find_all(exp.GTE, exp.GT, exp.LTE, exp.LT, exp.Between):
        bounds: list[tuple[type[exp.Expr], exp.Expr]]
        if isinstance(node, exp.Between):
            subject, bounds = node.this, [(exp.GTE, node.args["low"]), (exp.LTE, node.args["high"])]
        elif signature(node.this) is not None:
            subject, bounds = node.expression, [(_MIRRORED[type(node)], node.this)]
        else:
            subject, bounds = node.this, [(type(node), node.expression)]
        window = windows[id(_conjunction(node)), subject.sql(dialect="postgres")]
        for kind, constant in bounds:
            if signature(constant) is None:
                continue
            if kind is exp.GTE:
                window.starts.append(constant)
            elif kind is exp.LT:
                window.ends.append((constant, "end"))
            elif kind is exp.LTE and _is_date(subject, columns, schema):
                # For an instant, "at most the 31st" ends at its midnight.
                window.ends.append((constant, "last"))
    yield from windows.values()


def _conjunction(node: exp.Expr) -> exp.Expr:
    """The outermost node whose truth needs this condition's."""
    while isinstance(node.parent, (exp.And, exp.Paren)):
        node = node.parent
    return node


def _is_date(subject: exp.Expr, columns: StoredColumns, schema: SchemaSnapshot) -> bool:
    stored = columns.of(subject)
    table = schema.table(stored[0]) if stored else None
    column = table.column(stored[1]) if table and stored else None
    return column is not None and column.type == "date"


def _same(meant: RangeSignature, said: RangeSignature, link: Link, asked_on: date) -> bool:
    if meant == said:
        return True
    if [side is None for side in meant] != [side is None for side in said]:
        return False
    if not all(side is None or is_absolute(side) for side in meant):
        return False
    on_that_day = _resolved(link, asked_on)
    return on_that_day is not None and on_that_day == tuple(side and side[0] for side in meant)


def _resolved(link: Link, today: date) -> tuple[date | None, date | None] | None:
    assert link.dates is not None
    bounds = (read_bound(link.dates.start_sql), read_bound(link.dates.end_sql))
    start, end = (day_of(bound, today) if bound is not None else None for bound in bounds)
    return start, end


def _left_over(tree: exp.Expr, found: Aligned, ranges: dict[str, RangeSignature]) -> bool:
    """Whether a date constant stays that may belong to a range, so that filling the rest would contradict it.

    Today itself may stay ("days overdue"), unless a range of the question begins or ends with it.
    """
    aligned = {id(node) for node, _ in found}
    bounds = {side for said in ranges.values() for side in said if side is not None}
    near_today = {REFERENCE_DAYS, tuple(day + _ONE_DAY for day in REFERENCE_DAYS)}
    today_may_stay = not bounds & near_today
    years = _years(ranges)
    for node in tree.walk(prune=lambda part: id(part) in aligned or signature(part) is not None):
        if id(node) in aligned:
            continue
        if isinstance(node, exp.CurrentDate) and today_may_stay:
            continue
        if signature(node) is not None or isinstance(node, _CLOCKS):
            return True
        if isinstance(node, exp.Literal) and any(year in node.name for year in years):
            return True
    return False


def _years(ranges: dict[str, RangeSignature]) -> set[str]:
    """The years that absolute ranges begin and end in, as EXTRACT and to_char give them."""
    years: set[str] = set()
    for start, end in ranges.values():
        if start is not None and is_absolute(start):
            years.add(str(start[0].year))
        if end is not None and is_absolute(end):
            years.add(str((end[0] - _ONE_DAY).year))
    return years
