"""Shapes that show one value or a few."""

from dataclasses import replace

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Arithmetic,
    Bucket,
    ColumnRef,
    Compare,
    Expr,
    NumberLiteral,
    QuerySpec,
    SortKey,
)
from deployments.prompt_builder.synthesis.pieces import OFTEN, SOME, nodes_of, sort_by
from deployments.prompt_builder.synthesis.plan import Dimension, Order, Plan
from deployments.prompt_builder.synthesis.shapes.rows import RowShapes
from deployments.prompt_builder.synthesis.surfaces import number_slot

# Conditions that can name a part of a total.
PARTS = ("word", "words", "predicate", "more", "less", "null", "not_null")


class ValueShapes(RowShapes):
    """Counts, aggregates, shares and averages."""

    def shape_count(self) -> Plan | None:
        table = self.table()
        conditions = self.some(table, SOME)
        measure = self.count(table)
        return Plan(
            "count",
            table,
            QuerySpec(table, (measure.expression,), where=nodes_of(conditions)),
            conditions,
            (measure,),
        )

    def shape_count_distinct(self) -> Plan | None:
        table = self.table()
        measure = self.count_distinct(table)
        if measure is None:
            return None
        skip = frozenset({f"{measure.owner}.{measure.column}"})
        conditions = self.conditions(table, self.rng.choice(OFTEN), skip)
        spec = QuerySpec(table, (measure.expression,), where=nodes_of(conditions))
        return Plan("count_distinct", table, spec, conditions, (measure,))

    def shape_agg(self) -> Plan | None:
        table = self.table()
        measure = self.formula(table) or self.measure(table)
        if measure is None:
            return None
        conditions = self.conditions(
            table,
            self.rng.choice(SOME),
            frozenset({f"{table}.{measure.column}"} if self.rng.random() < 0.7 else ()),
        )
        return Plan(
            "agg",
            table,
            QuerySpec(table, (measure.expression,), where=nodes_of(conditions)),
            conditions,
            (measure,),
        )

    def shape_multi(self) -> Plan | None:
        """Two or three measures side by side, ungrouped or by a dimension."""
        table = self.table()
        main = self.world.tables[table].terms.measure
        kinds = self.rng.choice(
            (
                ("count", "sum"),
                ("count", "sum"),
                ("sum", "avg"),
                ("min", "max"),
                ("count", "avg"),
                ("count", "sum", "avg"),
                ("avg", "median"),
                ("min", "avg", "max"),
            )
        )
        if main is None:
            return None
        measures = tuple(
            self.count(table) if k == "count" else self.measure(table, (k,), main) for k in kinds
        )
        if any(m is None for m in measures):
            return None
        chosen = tuple({m.expression: m for m in measures if m}.values())
        dimension = self.dimension(table) if self.rng.random() < 0.5 else None
        dims = (dimension,) if dimension else ()
        conditions = self.some(table, OFTEN if dims else SOME, *dims)
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        order = Order(chosen[-1], True) if dims and self.rng.random() < 0.2 else None
        shown = (*(d.expression for d in dims), *(m.expression for m in chosen))
        spec = QuerySpec(table, shown, where=where, sort=sort_by(order))
        return Plan("multi", table, spec, conditions, chosen, dims, order=order)

    def shape_percent(self) -> Plan | None:
        """The share that rows with a further condition have of the total."""
        table = self.table()
        draws = (self._lookup, self._lookup, self._lookup, self._predicate, self._amount, self._null)
        part = self.rng.choice(draws)(table)
        counted = self.rng.random() < 0.4
        measure = self.count(table) if counted else self.measure(table, ("sum",))
        if part is None or measure is None or part.kind not in PARTS or measure.name not in ("sum", "count"):
            return None
        inner = self.build(table, measure.name, measure.column, (part,))
        expression = Arithmetic(
            "/", Arithmetic("*", NumberLiteral("100"), inner.expression), measure.expression
        )
        dimension = self.dimension(table) if self.rng.random() < 0.4 else None
        dims = (dimension,) if dimension and dimension.column != part.column else ()
        conditions = self.conditions(
            table, self.rng.choice((0, 0, 1, 1, 2)), self.free_of(*dims) | {f"{table}.{part.column}"}
        )
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        spec = QuerySpec(table, (*(d.expression for d in dims), expression), where=where)
        plan = Plan("percent", table, spec, conditions, (measure,), dims, pair=(part,))
        return self._limited_percent(plan, expression) if dims and self.rng.random() < 0.4 else plan

    def _limited_percent(self, plan: Plan, expression: Expr) -> Plan:
        """Percentages in order, or only those above a threshold."""
        if self.rng.random() < 0.5:
            plan.note = "sorted"
            plan.spec = replace(plan.spec, sort=(SortKey(expression, True),))
            return plan
        mark = self.slots.add(number_slot(self.rng, "percent", None))
        plan.note = "above"
        plan.limit = mark
        plan.spec = replace(plan.spec, where=(*plan.spec.where, Compare(">", expression, mark)))
        return plan

    def shape_nested(self) -> Plan | None:
        """An average per day, week or month."""
        table = self.table()
        bucket = self.bucket(table, ("day", "week", "month", "month", "year"))
        measure = self.rng.choice(
            (self.measure(table, ("sum",)), self.count(table), self.count_distinct(table))
        )
        if bucket is None or measure is None or measure.name not in ("sum", "count", "countd"):
            return None
        conditions = self.some(table)
        average = Aggregate("avg", measure.expression, by=(bucket.expression,))
        spec = QuerySpec(table, (average,), where=nodes_of(conditions))
        return Plan("nested", table, spec, conditions, (measure,), (bucket,))

    def shape_bucket(self) -> Plan | None:
        table = self.table()
        options = self.measurable(table)
        if not options:
            return None
        column, _semantic = self.rng.choice(options)
        slots = sorted(
            (
                number_slot(self.rng, *self.lexicon.semantic(table, column))
                for _ in range(self.rng.choice((2, 2, 3)))
            ),
            key=lambda s: float(s.value),
        )
        if len({s.value for s in slots}) < len(slots):
            return None
        marks = tuple(self.slots.add(s) for s in slots)
        conditions = self.conditions(table, self.rng.choice((0, 1, 1, 2)), frozenset({f"{table}.{column}"}))
        bucket = Bucket(ColumnRef(table, column), marks)
        measure = self.count(table)
        spec = QuerySpec(table, (bucket, measure.expression), where=nodes_of(conditions))
        dimension = Dimension(table, column, bucket)
        plan = Plan("bucket", table, spec, conditions, (measure,), (dimension,))
        plan.extra = {str(i): m for i, m in enumerate(marks)}
        return plan
