"""The query specification: what a question means, in as few words as possible.

A small model writes this instead of SQL; the compiler turns it into SQL. Joins, GROUP BY and HAVING are not
written but follow from the columns used (the idea of NatSQL, Gan et al. 2021, widened to aggregates over
child tables, windows and per-group limits). The text form is what people read and write; `tokens.py` maps it
one to one to model tokens.

Text form (keywords are reserved; columns of the base table may stand without the table's name)::

    cannot                                       the data cannot answer this
    TABLE [show [distinct] ITEM, …] [where COND and …] [sort EXPR [desc], …]
          [limit N [per EXPR, …]] [offset N]

    ITEM   EXPR
    COND   EXPR (= | != | < | <= | > | >=) EXPR   EXPR [not] in (VALUE, …)   EXPR [not] in D0
           EXPR between EXPR and EXPR             EXPR is [not] null         EXPR (before | after) D0
           EXPR (contains | starts) VALUE         any(TABLE [if COND and …]) no(TABLE [if COND and …])
           PREDICATE     EXPR [not] in [SPEC]     (COND or COND …)           (COND and COND …)       not COND
    EXPR   column   table.column   derived   number   'value'   N0 V0   today   (EXPR + - * / EXPR)
           AGG([distinct] [EXPR | TABLE] [if COND and …] [by EXPR, …] [per EXPR, …] [overall | all])
           WIN(EXPR [per EXPR, …])                running change growth previous share rank
           year(EXPR) quarter(EXPR) month(EXPR) week(EXPR) day(EXPR) weekday(EXPR)
           month_of_year(EXPR) hour(EXPR)
           bucket(EXPR, N, N, …)   coalesce(EXPR, EXPR)   abs(EXPR)   flag(COND)
           [SPEC]                                 a query specification with one value, as a subquery
           count([SPEC])                          the number of rows of a query specification

Names that are keywords or not plain lower case stand in double quotes.

Meaning:

- The base TABLE gives the rows. Columns of tables that the base reaches over its foreign keys (many to one,
  any number of steps) may be used freely; the compiler adds the joins.
- An aggregate over base or ancestor columns (or ``count()``) in ``show`` or ``sort`` makes the query
  grouped: all other items of ``show`` are the GROUP BY. So does a condition whose columns all stand inside
  such aggregates: ``labor show worker_name where sum(hours) > N0``. In a grouped query a condition with an
  aggregate is a HAVING condition, unless it also reads columns of single rows: ``expenses show count() where
  amount > avg(amount)``.
- An aggregate over a *descendant* table (one whose foreign keys lead to the base) is a value of each base
  row: ``projects show name, budget, sum(expenses.amount)``. Empty sums and counts are 0. ``any``/``no`` are
  EXISTS/NOT EXISTS; a condition inside may use the columns of the outer row by the base table's name.
- In ``where`` of a row query, an aggregate over base columns is taken over all rows that meet the row
  conditions: ``expenses where category = 'equipment' and amount > (10 * avg(amount))``. ``per EXPR`` takes
  it within the rows of the same EXPR; ``all`` ignores the conditions. In a grouped query ``overall`` and
  ``all`` ignore the groups: ``materials show vendors.name where name = V0 and avg(unit_cost) >
  avg(unit_cost overall)``.
- An aggregate of an aggregate: ``avg(sum(hours))`` in a grouped query runs over the groups (``per``
  partitions them); ``avg(count(distinct worker_name) by work_date)`` groups the inner one by ``by`` first.
- ``if`` inside an aggregate is SQL's FILTER; a sum of nothing is 0 then.
- ``running``, ``change``, ``growth`` (percent), ``previous`` go along the first date bucket of ``show``
  (else along ``sort``, else along the table's date); ``share`` is the percentage of the total over the
  result (or within ``per``); ``rank`` is 1 for the largest. Along a date bucket every combination of the
  other keys runs by itself. ``max(change(delivered_on))``: an aggregate of a window takes the window over
  the rows.
- ``flag(COND)`` is a yes/no column; ``weekday`` counts from Monday, which is 1. Of whole numbers
  ``bucket(x, 30, 60)`` makes 0-30, 31-60, 60+; of others a bound begins a range: under 30, 30-60, 60+.
- What conditions measure (by <, >, between, dates) and what ``sort`` goes by is shown last although ``show``
  lacks it, unless the query is ``distinct``; `canonical.py` leaves it out of ``show``.
- ``limit 3 per category`` keeps the first three of each group in ``sort`` order; ``limit 1 per
  projects.name`` with ``sort uploaded_at desc`` is the latest of each.
- Without ``show``, the table's display columns (domain pack) are shown.
- D0, N0, V0 are the question's linked dates, numbers and values (`serve_app.contracts.Link`).
"""

from dataclasses import dataclass
from typing import Literal

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
AggregateName = Literal["count", "sum", "avg", "min", "max", "median", "stddev"]
AggregateScope = Literal["group", "overall", "all"]
WindowName = Literal["running", "change", "growth", "previous", "share", "rank"]
DatePart = Literal["year", "quarter", "month", "week", "day", "weekday", "month_of_year", "hour"]


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A stored or derived column; always qualified after parsing."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A number as written."""

    text: str


@dataclass(frozen=True, slots=True)
class TextLiteral:
    """A text of a closed list, such as a category."""

    value: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """N0 (number), V0 (stored value) or D0 (dates; as a value, the first day)."""

    name: str


@dataclass(frozen=True, slots=True)
class Today:
    """The day on which is asked."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two values added, subtracted, multiplied or divided."""

    operator: Literal["+", "-", "*", "/"]
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``argument`` None is count(); ``table`` is set when a whole child table is counted."""

    name: AggregateName
    argument: "Expr | None" = None
    table: str | None = None
    distinct: bool = False
    conditions: "tuple[Condition, ...]" = ()
    by: "tuple[Expr, ...]" = ()
    per: "tuple[Expr, ...]" = ()
    scope: AggregateScope = "group"


@dataclass(frozen=True, slots=True)
class Window:
    """A value of a group set against those of the other groups: running sum, change, share, rank."""

    name: WindowName
    argument: "Expr"
    per: "tuple[Expr, ...]" = ()


@dataclass(frozen=True, slots=True)
class DateBucket:
    """The period in which a date falls, or a part of it such as its weekday."""

    part: DatePart
    argument: "Expr"


@dataclass(frozen=True, slots=True)
class Bucket:
    """The range between bounds in which a number falls."""

    argument: "Expr"
    bounds: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language, of values of one row."""

    name: Literal["coalesce", "abs"]
    arguments: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True)
class Flag:
    """Whether a condition holds, as a value."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Subquery:
    """The rows of another specification, to aggregate over."""

    spec: "QuerySpec"


Expr = (
    ColumnRef
    | NumberLiteral
    | TextLiteral
    | Placeholder
    | Today
    | Arithmetic
    | Aggregate
    | Window
    | DateBucket
    | Bucket
    | Function
    | Flag
    | Subquery
)


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values compared."""

    operator: Comparison
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class InList:
    """``values`` are literals and placeholders, or a single Subquery."""

    argument: Expr
    values: tuple[Expr, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InDates:
    """in: start <= x < end; before: x < start; after: x >= end, or x > start if there is no end."""

    argument: Expr
    dates: Placeholder
    relation: Literal["in", "before", "after"] = "in"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """A value within bounds, both included."""

    argument: Expr
    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class IsNull:
    """A value that is missing, or not."""

    argument: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A text that contains or starts with another."""

    kind: Literal["contains", "starts"]
    argument: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Exists:
    """Rows of a child table that exist, or do not."""

    table: str
    conditions: "tuple[Condition, ...]" = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Predicate:
    """A derived yes/no of the domain pack, e.g. projects.overdue."""

    table: str
    name: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of several conditions."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions joined by and, inside an AnyOf, a Negation or a Flag."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """A condition that does not hold."""

    condition: "Condition"


Condition = (
    Compare | InList | InDates | Between | IsNull | TextMatch | Exists | Predicate | AnyOf | AllOf | Negation
)

Node = Expr | Condition


@dataclass(frozen=True, slots=True)
class SortKey:
    """What rows are ordered by, and which way."""

    expression: Expr
    descending: bool = False


@dataclass(frozen=True, slots=True)
class QuerySpec:
    """One question's meaning. ``limit`` and ``offset`` are a NumberLiteral or an N placeholder."""

    table: str
    show: tuple[Expr, ...] = ()
    distinct: bool = False
    where: tuple[Condition, ...] = ()
    sort: tuple[SortKey, ...] = ()
    limit: NumberLiteral | Placeholder | None = None
    limit_per: tuple[Expr, ...] = ()
    offset: NumberLiteral | Placeholder | None = None


@dataclass(frozen=True, slots=True)
class Cannot:
    """The question is outside of what the data can answer."""
