"""Shapes that show rows, columns of rows, or names without repetition."""

from deployments.prompt_builder.query_spec.nodes import (
    ColumnRef,
    Expr,
    Placeholder,
    QuerySpec,
)
from deployments.prompt_builder.synthesis.pieces import FEW, OFTEN, ONE, SOME, PieceSampler, nodes_of, sort_by
from deployments.prompt_builder.synthesis.plan import Cond, Dimension, Order, Plan


class RowShapes(PieceSampler):
    """Lists, attributes, tops and distinct names."""

    def some(self, table: str, counts: tuple[int, ...] = OFTEN, *dimensions: Dimension) -> tuple[Cond, ...]:
        return self.conditions(table, self.rng.choice(counts), self.free_of(*dimensions))

    def shape_list(self) -> Plan | None:
        table = self.table()
        conditions = self.some(table, SOME if self.rng.random() < 0.9 else (0,))
        order = self._said_order(table) if self.rng.random() < 0.2 else None
        spec = QuerySpec(table, where=nodes_of(conditions), sort=sort_by(order))
        return Plan("list", table, spec, conditions, order=order)

    def _said_order(self, table: str) -> Order | None:
        key = self.sortable(table)
        return Order(key, self.rng.random() < 0.6) if key else None

    def shape_columns(self) -> Plan | None:
        table = self.table()
        columns = self.attributes(table, self.rng.choice((1, 1, 2, 2, 3)))
        conditions = self.some(table, FEW)
        if not columns:
            return None
        order = self._said_order(table) if self.rng.random() < 0.15 else None
        spec = QuerySpec(
            table, show=self.show(table, columns), where=nodes_of(conditions), sort=sort_by(order)
        )
        return Plan("columns", table, spec, conditions, columns=columns, order=order)

    def shape_attribute(self) -> Plan | None:
        """Columns of one named thing: "client and budget of Riverside"."""
        table = self.table()
        info = self.world.tables[table]
        key = info.label or next((f.name for f in info.of_role("name") if f.nullable), None)
        if key is None or not info.fields[key].values:
            return None
        cond = self.name(table, key, "name")
        columns = tuple(c for c in self.attributes(table, self.rng.choice((1, 1, 1, 2))) if c.column != key)
        if cond is None or cond.kind != "name" or not columns:
            return None
        spec = QuerySpec(table, show=self.show(table, columns), where=(cond.node,))
        return Plan("attribute", table, spec, (cond,), columns=columns)

    def shape_top(self) -> Plan | None:
        table = self.table()
        key = self.sortable(table)
        if key is None:
            return None
        one = self.rng.random() < 0.45
        order = Order(key, self.rng.random() < 0.72)
        conditions = self.conditions(table, self.rng.choice(OFTEN), frozenset({f"{table}.{key.column}"}))
        mark = None if one else self._count_mark()
        label = self.world.tables[table].label
        show: tuple[Expr, ...] = (ColumnRef(table, label), key.expression) if label else ()
        spec = QuerySpec(table, show=show, where=nodes_of(conditions), sort=sort_by(order), limit=mark or ONE)
        return Plan("top", table, spec, conditions, order=order, limit=mark, one=one)

    def _count_mark(self, low: int = 2) -> Placeholder:
        mark = self.limit(low)[0]
        assert isinstance(mark, Placeholder)
        return mark

    def shape_top_per(self) -> Plan | None:
        """The largest (latest) rows of each group."""
        table = self.table()
        key, dimension = self.sortable(table), self.dimension(table)
        if key is None or dimension is None:
            return None
        latest = key.column == self.world.tables[table].date
        one = latest or self.rng.random() < 0.4
        order = Order(key, latest or self.rng.random() < 0.8)
        conditions = self.some(table, (0, 0, 1, 1, 2), dimension)
        mark = None if one else self._count_mark()
        show = (dimension.expression, *self._row_columns(table, key.expression))
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(
            table,
            show,
            where=where,
            sort=sort_by(order),
            limit=mark or ONE,
            limit_per=(dimension.expression,),
        )
        shape = "latest" if latest else "top_per"
        return Plan(shape, table, spec, conditions, dimensions=(dimension,), order=order, limit=mark, one=one)

    def _row_columns(self, table: str, key: Expr) -> tuple[Expr, ...]:
        """What tells a row apart in a list per group: its name, date and measure, and the sort key."""
        info = self.world.tables[table]
        names = [n for n in (info.label, info.date, info.terms.measure) if n]
        found = [ColumnRef(table, n) for n in names]
        return (*found, *(() if key in found else (key,)))

    def shape_distinct(self) -> Plan | None:
        table = self.table()
        dimension = self.dimension(table)
        if dimension is None:
            return None
        conditions = self.some(table, SOME, dimension)
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(table, (dimension.expression,), distinct=True, where=where)
        return Plan("distinct", table, spec, conditions, dimensions=(dimension,))
