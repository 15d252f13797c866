"""Shapes that show one row per group."""

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Compare,
    Expr,
    QuerySpec,
    SortKey,
    Window,
)
from deployments.prompt_builder.synthesis.column_conditions import COMPARE
from deployments.prompt_builder.synthesis.pieces import OFTEN, ONE, nodes_of, sort_by
from deployments.prompt_builder.synthesis.plan import Cond, Dimension, Measure, Order, Plan
from deployments.prompt_builder.synthesis.shapes.values import ValueShapes
from deployments.prompt_builder.synthesis.slots import Slot
from deployments.prompt_builder.synthesis.surfaces import number_slot


class GroupShapes(ValueShapes):
    """Groups, series, ranks and shares."""

    def _group_measure(self, table: str) -> Measure | None:
        formula = self.formula(table)
        if formula is not None:
            return formula
        chance = self.rng.random()
        if chance < 0.27:
            return self.count(table)
        if chance < 0.32:
            return self.count_distinct(table)
        return self.measure(table, ("sum", "sum", "sum", "sum", "avg", "avg", "max", "min", "median"))

    def _rank_measure(self, table: str) -> Measure | None:
        formula = self.formula(table)
        if formula is not None:
            return formula
        if self.rng.random() < 0.3:
            return self.count(table)
        return self.measure(table, ("sum", "sum", "sum", "avg"))

    def shape_group(self) -> Plan | None:
        table = self.table()
        measure, dimension = self._group_measure(table), self.dimension(table)
        if (
            measure is None
            or dimension is None
            or (dimension.owner, dimension.column) == (measure.owner, measure.column)
        ):
            return None
        dims = [dimension]
        if self.rng.random() < 0.16:
            second = self.bucket(table) if self.rng.random() < 0.4 else self.dimension(table)
            if second and (second.owner, second.column) != (dimension.owner, dimension.column):
                dims.append(second)
        chosen = tuple(dims)
        conditions = self.some(table, OFTEN, *chosen)
        order = Order(measure, self.rng.random() < 0.8) if self.rng.random() < 0.25 else None
        where = (*nodes_of(conditions), *self.kept(table, chosen, conditions))
        spec = QuerySpec(
            table,
            (*(d.expression for d in chosen), measure.expression),
            where=where,
            sort=sort_by(order) or self._time_sort(chosen),
        )
        return Plan("group", table, spec, conditions, (measure,), chosen, order=order)

    def _time_sort(self, dimensions: tuple[Dimension, ...]) -> tuple[SortKey, ...]:
        """Groups by time come in time order without being told."""
        return tuple(SortKey(d.expression) for d in dimensions if d.part)

    def shape_series(self) -> Plan | None:
        table = self.table()
        bucket, measure = self.bucket(table), self._group_measure(table)
        if bucket is None or measure is None:
            return None
        conditions = self.some(table)
        spec = QuerySpec(
            table,
            (bucket.expression, measure.expression),
            where=nodes_of(conditions),
            sort=self._time_sort((bucket,)),
        )
        return Plan("series", table, spec, conditions, (measure,), (bucket,))

    def shape_window(self) -> Plan | None:
        """Running totals and changes along time."""
        table = self.table()
        bucket = self.bucket(table, ("month", "month", "month", "quarter", "week", "year", "day"))
        measure = self.formula(table) or (
            self.measure(table, ("sum", "sum", "avg")) if self.rng.random() < 0.8 else self.count(table)
        )
        if bucket is None or measure is None:
            return None
        kind = self.rng.choice(("running", "running", "change", "growth"))
        if kind == "running" and measure.name == "avg":
            return None
        conditions = self.some(table)
        window = Window(kind, measure.expression)  # type: ignore[arg-type]  # one of the names above
        alone = kind == "running" and self.rng.random() < 0.6
        shown: tuple[Expr, ...] = (window,) if alone else (measure.expression, window)
        spec = QuerySpec(
            table, (bucket.expression, *shown), where=nodes_of(conditions), sort=self._time_sort((bucket,))
        )
        return Plan(
            "running_beside" if kind == "running" and not alone else kind,
            table,
            spec,
            conditions,
            (measure,),
            (bucket,),
        )

    def shape_rank(self) -> Plan | None:
        """The groups with the most or the least, one or several."""
        table = self.table()
        time = self.rng.random() < 0.2
        dimension = (
            self.bucket(table, ("month", "month", "week", "day", "quarter", "year", "weekday"))
            if time
            else self.dimension(table)
        )
        measure = self._rank_measure(table)
        if (
            dimension is None
            or measure is None
            or (dimension.owner, dimension.column) == (measure.owner, measure.column)
        ):
            return None
        one = time or self.rng.random() < 0.45
        order = Order(measure, self.rng.random() < 0.82)
        conditions = self.some(table, OFTEN, dimension)
        mark = None if one else self._count_mark()
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(
            table,
            (dimension.expression, measure.expression),
            where=where,
            sort=sort_by(order),
            limit=mark or ONE,
        )
        return Plan(
            "peak" if time else "rank",
            table,
            spec,
            conditions,
            (measure,),
            (dimension,),
            order=order,
            limit=mark,
            one=one,
        )

    def shape_having(self) -> Plan | None:
        table = self.table()
        dimension = self.dimension(table)
        chance = self.rng.random()
        measure = self.count(table) if chance < 0.35 else self.measure(table, ("sum", "sum", "avg"))
        if chance > 0.85:
            measure = self.count_distinct(table)
        if dimension is None or measure is None:
            return None
        if (dimension.owner, dimension.column) == (measure.owner, measure.column):
            return None
        conditions = self.some(table, OFTEN, dimension)
        key = self.rng.choice(("more", "more", "more", "less", "at_least", "at_most"))
        kind, operator = COMPARE[key]
        number = self._threshold(table, measure)
        mark = self.slots.add(number)
        having = Cond(kind, table, measure.column, Compare(operator, measure.expression, mark), (mark,))
        where = (*nodes_of(conditions), having.node, *self.kept(table, (dimension,), conditions))
        order = Order(measure, self.rng.random() < 0.8) if self.rng.random() < 0.15 else None
        spec = QuerySpec(table, (dimension.expression, measure.expression), where=where, sort=sort_by(order))
        return Plan("having", table, spec, conditions, (measure,), (dimension,), having=having, order=order)

    def _threshold(self, table: str, measure: Measure) -> Slot:
        if measure.name in ("count", "countd"):
            number = str(self.rng.choice((1, 2, 3, 5, 10, 20, 50, 100)))
            return Slot("N", number, number)
        return number_slot(self.rng, *self.lexicon.semantic(table, measure.column))

    def shape_share(self) -> Plan | None:
        table = self.table()
        dimension = self.dimension(table)
        measure = self.count(table) if self.rng.random() < 0.25 else self.measure(table, ("sum",))
        if dimension is None or measure is None or measure.name not in ("sum", "count"):
            return None
        outer = self.dimension(table) if self.rng.random() < 0.15 else None
        if outer is not None and outer.expression != dimension.expression:
            return self._share_within(table, outer, dimension, measure)
        conditions = self.some(table, OFTEN, dimension)
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(table, (dimension.expression, Window("share", measure.expression)), where=where)
        return Plan("share", table, spec, conditions, (measure,), (dimension,))

    def _share_within(self, table: str, outer: Dimension, inner: Dimension, measure: Measure) -> Plan:
        dims = (outer, inner)
        conditions = self.some(table, (0, 0, 1, 1), *dims)
        share = Window("share", measure.expression, (outer.expression,))
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        spec = QuerySpec(table, (outer.expression, inner.expression, share), where=where)
        return Plan("share_within", table, spec, conditions, (measure,), dims)

    def shape_above(self) -> Plan | None:
        """Groups above the average: of all groups' totals, or of all rows."""
        table = self.table()
        dimension = self.dimension(table)
        measure = self.measure(table, ("sum", "avg")) if self.rng.random() < 0.8 else self.count(table)
        if dimension is None or measure is None or measure.name not in ("sum", "avg", "count"):
            return None
        conditions = self.some(table, OFTEN, dimension)
        above = self.rng.random() < 0.75
        inner = measure.expression
        assert isinstance(inner, Aggregate)
        mean: Expr = (
            Aggregate("avg", inner.argument, scope="overall")
            if measure.name == "avg"
            else Aggregate("avg", inner)
        )
        where = (
            *nodes_of(conditions),
            Compare(">" if above else "<", inner, mean),
            *self.kept(table, (dimension,), conditions),
        )
        spec = QuerySpec(table, (dimension.expression, inner), where=where)
        return Plan(
            "above_group" if above else "below_group", table, spec, conditions, (measure,), (dimension,)
        )
