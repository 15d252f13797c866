"""Shapes that put things side by side."""

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    InList,
    QuerySpec,
    TextLiteral,
)
from deployments.prompt_builder.synthesis.pieces import ONE, nodes_of, sort_by
from deployments.prompt_builder.synthesis.plan import Cond, Measure, Order, Plan
from deployments.prompt_builder.synthesis.shapes.groups import GroupShapes


class SideShapes(GroupShapes):
    """Comparisons, and parents with figures of their children."""

    def shape_compare(self) -> Plan | None:
        """A against B: two values of a dimension as rows, or two periods as columns."""
        table = self.table()
        measure = self.measure(table, ("sum", "sum", "avg")) if self.rng.random() < 0.8 else self.count(table)
        if measure is None:
            return None
        if self.rng.random() < 0.4 and (date := self.world.tables[table].date):
            return self._compare_periods(table, measure, date)
        dimension = self.dimension(table)
        if dimension is None:
            return None
        field = self.world.tables[dimension.owner].fields[dimension.column]
        if len(field.values) < 2:
            return None
        pair = self._pair(field.table, field.name, field.role == "lookup")
        if pair is None:
            return None
        conditions = self.some(table, (0, 0, 1, 1, 2), dimension)
        which = self.rng.random() < 0.25
        order = Order(measure, self.rng.random() < 0.75) if which else None
        spec = QuerySpec(
            table,
            (dimension.expression, measure.expression),
            where=(*nodes_of(conditions), pair[0].node),
            sort=sort_by(order),
            limit=ONE if which else None,
        )
        return Plan(
            "which" if which else "compare",
            table,
            spec,
            conditions,
            (measure,),
            (dimension,),
            pair=pair,
            order=order,
        )

    def _pair(self, table: str, column: str, lookup: bool) -> tuple[Cond, ...] | None:
        """One condition on both, then each alone (for the words)."""
        if not lookup:
            both = self.name(table, column, "names")
            if both is None:
                return None
            return (both, *(Cond("name", table, column, both.node, (m,)) for m in both.marks))
        field = self.world.tables[table].fields[column]
        values = tuple(sorted(self.rng.sample(field.values, 2)))
        from_words = self.word(table, column, values[0]), self.word(table, column, values[1])
        node = _either(field.ref, values)
        return (Cond("words", table, column, node, words=values), *from_words)

    def _compare_periods(self, table: str, measure: Measure, date: str) -> Plan | None:
        field = self.world.tables[table].fields[date]
        pair = (self.date(field, "date"), self.date(field, "date"))
        conditions = self.conditions(table, self.rng.choice((0, 1, 1, 2)), frozenset({f"{table}.{date}"}))
        shown = tuple(self.build(table, measure.name, measure.column, (p,)).expression for p in pair)
        spec = QuerySpec(table, shown, where=nodes_of(conditions))
        return Plan("compare", table, spec, conditions, (measure,), pair=(pair[0], *pair))

    def shape_child(self) -> Plan | None:
        """Rows of a parent with aggregates over child rows beside its own columns."""
        from_parents = [t for t, i in self.world.tables.items() if i.children and i.label]
        if not from_parents:
            return None
        table = self.rng.choice(from_parents)
        info = self.world.tables[table]
        child = self.rng.choice(info.children)
        measures = tuple(
            m for m in (self.child_measure(table, child) for _ in range(self.rng.choice((1, 1, 2)))) if m
        )
        columns = self.attributes(table, self.rng.choice((0, 1, 1, 2))) if info.fields else ()
        columns = tuple(c for c in columns if c.owner == table)
        if not measures or (not columns and len(measures) < 2):
            return None
        unique = tuple({m.expression: m for m in measures}.values())
        conditions = self.some(table, (0, 1, 1, 2))
        order = Order(unique[0], True) if self.rng.random() < 0.2 else None
        shown = (*self.show(table, columns), *(m.expression for m in unique))
        spec = QuerySpec(table, shown, where=nodes_of(conditions), sort=sort_by(order))
        return Plan("child", table, spec, conditions, unique, columns=columns, order=order)

    def child_measure(self, table: str, child: str) -> Measure | None:
        """An aggregate over a child's rows, with its own conditions."""
        skip = self._kin_columns(child, table)
        conditions = self.conditions(child, self.rng.choice((0, 0, 1, 1)), skip, rich=False)
        nodes = nodes_of(conditions)
        if self.rng.random() < 0.45:
            return Measure(
                "count", child, Aggregate("count", table=child, conditions=nodes), conditions=conditions
            )
        base = self.measure(child, ("sum", "sum", "avg", "max"))
        if base is None:
            return None
        inner = base.expression
        assert isinstance(inner, Aggregate)
        return Measure(
            base.name,
            child,
            Aggregate(inner.name, inner.argument, conditions=nodes),
            base.column,
            child,
            conditions,
        )


def _either(ref: ColumnRef, values: tuple[str, ...]) -> InList:
    return InList(ref, tuple(TextLiteral(v) for v in values))
