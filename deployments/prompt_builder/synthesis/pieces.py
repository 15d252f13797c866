"""Pieces of plans: measures, dimensions, columns and orders of a table, drawn by weight."""

import re

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AggregateName,
    Arithmetic,
    ColumnRef,
    Condition,
    DateBucket,
    DatePart,
    Expr,
    IsNull,
    NumberLiteral,
    SortKey,
)
from deployments.prompt_builder.synthesis.conditions import ConditionSampler
from deployments.prompt_builder.synthesis.plan import Attribute, Cond, Dimension, Measure, Order
from deployments.prompt_builder.synthesis.surfaces import count_slot

_PARTS: tuple[DatePart, ...] = (
    "month", "month", "month", "month", "month", "week", "day", "quarter", "quarter", "year", "year",
    "weekday",
)  # fmt: skip
ONE = NumberLiteral("1")
# How many conditions questions have, by how much they need them.
FEW = (0, 1, 1, 1, 2, 2, 3)
SOME = (1, 1, 1, 2, 2, 3)
OFTEN = (0, 0, 1, 1, 1, 2, 2)
_CHILD_SUM = re.compile(r"\w+\(\w+\.")


class PieceSampler(ConditionSampler):
    """Draws what is measured, grouped by, shown and sorted."""

    def table(self) -> str:
        """A base table; tables with a date or a measure come more often than the small ones above them."""
        tables = [
            t for t, i in self.world.tables.items() for _ in range(_weight(len(i.fields), bool(i.parents)))
        ]
        return self.rng.choice(tables)

    def measurable(self, table: str) -> list[tuple[str, str]]:
        """(column, semantic) of what can be aggregated, the table's main measure more often.

        Named sums over child rows are left out: people ask for them of the child table.
        """
        sums = {d.name for d in self.world.tables[table].values if _CHILD_SUM.match(d.expression)}
        found = [(name, semantic) for name, _, semantic, _ in self.numbers(table) if name not in sums]
        main = self.world.tables[table].terms.measure
        return found + [c for c in found if c[0] == main] * 3

    def measure(self, table: str, kinds: tuple[str, ...] = (), column: str = "") -> Measure | None:
        """One aggregate over the table's own columns."""
        options = self.measurable(table)
        if column:
            options = [o for o in options if o[0] == column]
        if not options:
            return None
        name, semantic = self.rng.choice(options)
        unit = self.lexicon.semantic(table, name)[1] or ""
        if not kinds and self.rng.random() < 0.03:
            return self.spread(table, name)
        chosen = self.rng.choice(kinds or ("sum", "sum", "sum", "sum", "avg", "avg", "max", "min", "median"))
        if chosen == "sum" and (
            semantic in ("percent", "count")
            or unit == "stars"
            or " per " in unit
            or self._per_unit(table, name)
        ):
            chosen = "avg"
        return self.build(table, chosen, name)

    def spread(self, table: str, column: str) -> Measure:
        """How far values lie apart: the standard deviation, or the largest less the smallest."""
        if self.rng.random() < 0.5:
            return self.build(table, "stddev", column)
        ref = ColumnRef(table, column)
        expression = Arithmetic("-", Aggregate("max", ref), Aggregate("min", ref))
        return Measure("spread", table, expression, column, table)

    def _per_unit(self, table: str, column: str) -> bool:
        """Prices and rates are not summed: a currency column that a derived value multiplies."""
        return any(f"* {column}" in d.expression for d in self.world.tables[table].values) and any(
            s == "currency" for s in (self.lexicon.semantic(table, column)[0],)
        )

    def build(self, table: str, name: str, column: str, conditions: tuple[Cond, ...] = ()) -> Measure:
        nodes = tuple(c.node for c in conditions)
        if name == "count":
            return Measure("count", table, Aggregate("count", conditions=nodes), conditions=conditions)
        aggregate: AggregateName = name  # type: ignore[assignment]  # callers pass AggregateName members
        return Measure(
            name,
            table,
            Aggregate(aggregate, ColumnRef(table, column), conditions=nodes),
            column,
            table,
            conditions,
        )

    def formula(self, table: str, probability: float = 0.15) -> Measure | None:
        """Now and then a measure that the domain's phrases spell out."""
        options = self.lexicon.formulas(table)
        if not options or self.rng.random() >= probability:
            return None
        expression, phrases = self.rng.choice(options)
        return Measure("formula", table, expression, formula=phrases)

    def count(self, table: str, conditions: tuple[Cond, ...] = ()) -> Measure:
        return self.build(table, "count", "", conditions)

    def count_distinct(self, table: str) -> Measure | None:
        """Different parents or names among the rows."""
        options = [d for d in self.dimensions(table) if self._is_name(d)]
        if not options:
            return None
        chosen = self.rng.choice(options)
        expression: Expr = Aggregate("count", chosen.expression, distinct=True)
        return Measure("countd", table, expression, chosen.column, chosen.owner)

    def _is_name(self, dimension: Dimension) -> bool:
        field = self.world.field(dimension.owner, dimension.column)
        return field is not None and field.role == "name"

    def dimensions(self, table: str) -> list[Dimension]:
        """Lookup and name columns, own and of ancestors (labels first)."""
        info = self.world.tables[table]
        own = [f for f in info.of_role("lookup", "name") if f.name != info.label and not f.nullable]
        found = [Dimension(table, f.name, f.ref) for f in own] * 2
        for ancestor in info.ancestors:
            above = self.world.tables[ancestor]
            direct = ancestor in info.parents
            if above.label:
                found += [Dimension(ancestor, above.label, ColumnRef(ancestor, above.label))] * (
                    5 if direct else 2
                )
            for field in above.of_role("lookup", "name"):
                if field.name != above.label and direct:
                    found.append(Dimension(ancestor, field.name, field.ref))
        return found

    def dimension(self, table: str) -> Dimension | None:
        options = self.dimensions(table)
        return self.rng.choice(options) if options else None

    def bucket(self, table: str, parts: tuple[DatePart, ...] = _PARTS) -> Dimension | None:
        info = self.world.tables[table]
        # Things that others belong to are seldom counted over time.
        if info.date is None or (info.children and self.rng.random() < 0.75):
            return None
        part = self.rng.choice(parts)
        return Dimension(table, info.date, DateBucket(part, ColumnRef(table, info.date)), part)

    def free_of(self, *dimensions: Dimension) -> frozenset[str]:
        return frozenset(f"{d.owner}.{d.column}" for d in dimensions if not d.part)

    def kept(
        self, table: str, dimensions: tuple[Dimension, ...], conditions: tuple[Cond, ...]
    ) -> tuple[Condition, ...]:
        """Groups by an optional parent leave out rows without one, unless a condition does so already."""
        keys = self.world.tables[table].optional_keys
        owners = {d.owner for d in dimensions if d.owner in keys} - {c.owner for c in conditions}
        return tuple(IsNull(ColumnRef(table, keys[o]), negated=True) for o in sorted(owners))

    def attributes(self, table: str, count: int) -> tuple[Attribute, ...]:
        """Columns worth showing: own ones, derived values, and labels of parents."""
        info = self.world.tables[table]
        options = [
            Attribute(table, f.name, f.ref) for f in info.fields.values() if f.role not in ("id", "text")
        ]
        options += [Attribute(table, d.name, ColumnRef(table, d.name)) for d in info.values]
        options = [o for o in options if o.column != info.label]
        for parent in info.parents:
            above = self.world.tables[parent]
            if above.label:
                options += [Attribute(parent, above.label, ColumnRef(parent, above.label))] * 2
            for field in above.fields.values():
                if field.role in ("lookup", "date") and self.rng.random() < 0.15:
                    options.append(Attribute(parent, field.name, field.ref))
        found: dict[tuple[str, str], Attribute] = {}
        for option in self.rng.sample(options, min(count * 2, len(options))):
            if len(found) < count:
                found.setdefault((option.owner, option.column), option)
        return tuple(found.values())

    def show(self, table: str, columns: tuple[Attribute, ...]) -> tuple[Expr, ...]:
        """What is shown when columns are asked for: the row's name comes first."""
        label = self.world.tables[table].label
        head: tuple[Expr, ...] = (ColumnRef(table, label),) if label else ()
        return (*head, *(c.expression for c in columns))

    def sortable(self, table: str) -> Attribute | None:
        info = self.world.tables[table]
        dates = [Attribute(table, f.name, f.ref) for f in info.of_role("date")]
        sums = {d.name for d in info.values if _CHILD_SUM.match(d.expression)}
        amounts = [Attribute(table, n, e) for n, e, _, _ in self.numbers(table) if n not in sums]
        main = [a for a in (*dates, *amounts) if a.column in (info.date, info.terms.measure)]
        pool = main if main and self.rng.random() < 0.7 else [*dates, *amounts]
        return self.rng.choice(pool) if pool else None

    def limit(self, low: int = 2) -> tuple[Expr, ...]:
        return (self.slots.add(count_slot(self.rng, low)),)


def sort_by(order: Order | None) -> tuple[SortKey, ...]:
    return (SortKey(order.key.expression, order.descending),) if order else ()


def nodes_of(conditions: tuple[Cond, ...]) -> tuple[Condition, ...]:
    return tuple(c.node for c in conditions)


def _weight(columns: int, has_parents: bool) -> int:
    return max(1, columns - 2) if has_parents else 1 if columns < 4 else columns
