"""Samples plans: query specifications over any schema and pack, composed from its tables, measures and conditions."""

from collections.abc import Callable

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Arithmetic,
    Bucket,
    ColumnRef,
    Compare,
    Expr,
    InList,
    NumberLiteral,
    Placeholder,
    QuerySpec,
    SortKey,
    TextLiteral,
    Window,
)
from deployments.prompt_builder.synthesis.conditions import _COMPARE
from deployments.prompt_builder.synthesis.pieces import ONE, PieceSampler, nodes_of, sort_by
from deployments.prompt_builder.synthesis.plan import Cond, Dimension, Measure, Order, Plan
from deployments.prompt_builder.synthesis.slots import Slot
from deployments.prompt_builder.synthesis.surfaces import number_slot

_FEW = (0, 1, 1, 1, 2, 2, 3)
_SOME = (1, 1, 1, 2, 2, 3)
_OFTEN = (0, 0, 1, 1, 1, 2, 2)


class PlanSampler(PieceSampler):
    """One method per shape; each returns None where the table cannot carry the shape."""

    def sample(self, shape: str, tries: int = 20) -> Plan | None:
        method: Callable[[], Plan | None] = getattr(self, f"shape_{shape}")
        for _ in range(tries):
            self.slots.slots.clear()
            plan = method()
            if plan is not None:
                return plan
        return None

    def some(self, table: str, counts: tuple[int, ...] = _OFTEN, *dimensions: Dimension) -> tuple[Cond, ...]:
        return self.conditions(table, self.rng.choice(counts), self.free_of(*dimensions))

    # rows

    def shape_list(self) -> Plan | None:
        table = self.table()
        conditions = self.some(table, _SOME if self.rng.random() < 0.9 else (0,))
        order = self._said_order(table) if self.rng.random() < 0.2 else None
        spec = QuerySpec(table, where=nodes_of(conditions), sort=sort_by(order))
        return Plan("list", table, spec, conditions, order=order)

    def _said_order(self, table: str) -> Order | None:
        key = self.sortable(table)
        return Order(key, self.rng.random() < 0.6) if key else None

    def shape_columns(self) -> Plan | None:
        table = self.table()
        columns = self.attributes(table, self.rng.choice((1, 1, 2, 2, 3)))
        conditions = self.some(table, _FEW)
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
        conditions = self.conditions(table, self.rng.choice(_OFTEN), frozenset({f"{table}.{key.column}"}))
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
        conditions = self.some(table, _SOME, dimension)
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(table, (dimension.expression,), distinct=True, where=where)
        return Plan("distinct", table, spec, conditions, dimensions=(dimension,))

    # single values

    def shape_count(self) -> Plan | None:
        table = self.table()
        conditions = self.some(table, _SOME)
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
        conditions = self.conditions(table, self.rng.choice(_OFTEN), skip)
        spec = QuerySpec(table, (measure.expression,), where=nodes_of(conditions))
        return Plan("count_distinct", table, spec, conditions, (measure,))

    def shape_agg(self) -> Plan | None:
        table = self.table()
        measure = self.measure(table)
        if measure is None:
            return None
        conditions = self.conditions(
            table,
            self.rng.choice(_SOME),
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
        conditions = self.some(table, _OFTEN if dims else _SOME, *dims)
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        spec = QuerySpec(table, (*(d.expression for d in dims), *(m.expression for m in chosen)), where=where)
        return Plan("multi", table, spec, conditions, chosen, dims)

    def shape_percent(self) -> Plan | None:
        """The share that rows with a further condition have of the total."""
        table = self.table()
        part = self._lookup(table) if self.rng.random() < 0.75 else self._predicate(table)
        counted = self.rng.random() < 0.4
        measure = self.count(table) if counted else self.measure(table, ("sum",))
        if (
            part is None
            or measure is None
            or part.kind not in ("word", "words", "predicate")
            or measure.name not in ("sum", "count")
        ):
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
        return Plan("percent", table, spec, conditions, (measure,), dims, pair=(part,))

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
        inner = measure.expression
        assert isinstance(inner, Aggregate)
        grouped = Aggregate(
            inner.name, inner.argument, inner.table, inner.distinct, inner.conditions, by=(bucket.expression,)
        )
        spec = QuerySpec(table, (Aggregate("avg", grouped),), where=nodes_of(conditions))
        return Plan("nested", table, spec, conditions, (measure,), (bucket,))

    # groups

    def _group_measure(self, table: str) -> Measure | None:
        chance = self.rng.random()
        if chance < 0.27:
            return self.count(table)
        if chance < 0.32:
            return self.count_distinct(table)
        return self.measure(table, ("sum", "sum", "sum", "sum", "avg", "avg", "max", "min", "median"))

    def _rank_measure(self, table: str) -> Measure | None:
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
        conditions = self.some(table, _OFTEN, *chosen)
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
        measure = self.measure(table, ("sum", "sum", "avg")) if self.rng.random() < 0.8 else self.count(table)
        if bucket is None or measure is None:
            return None
        kind = self.rng.choice(("running", "running", "change", "growth"))
        if kind == "running" and measure.name == "avg":
            return None
        conditions = self.some(table)
        window = Window(kind, measure.expression)  # type: ignore[arg-type]  # one of the names above
        shown: tuple[Expr, ...] = (window,) if kind == "running" else (measure.expression, window)
        spec = QuerySpec(
            table, (bucket.expression, *shown), where=nodes_of(conditions), sort=self._time_sort((bucket,))
        )
        return Plan(kind, table, spec, conditions, (measure,), (bucket,))

    def shape_rank(self) -> Plan | None:
        """The groups with the most or the least, one or several."""
        table = self.table()
        time = self.rng.random() < 0.2
        dimension = (
            self.bucket(table, ("month", "month", "week", "day", "quarter", "year", "weekday"))
            if time
            else self.dimension(table)
        )
        measure = self._group_measure(table)
        if (
            dimension is None
            or measure is None
            or (dimension.owner, dimension.column) == (measure.owner, measure.column)
        ):
            return None
        one = time or self.rng.random() < 0.45
        order = Order(measure, self.rng.random() < 0.82)
        conditions = self.some(table, _OFTEN, dimension)
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
        counted = self.rng.random() < 0.4
        measure = self.count(table) if counted else self.measure(table, ("sum", "sum", "avg"))
        if dimension is None or measure is None:
            return None
        conditions = self.some(table, _OFTEN, dimension)
        key = self.rng.choice(("more", "more", "more", "less", "at_least", "at_most"))
        kind, operator = _COMPARE[key]
        number = self._threshold(table, measure)
        mark = self.slots.add(number)
        having = Cond(kind, table, measure.column, Compare(operator, measure.expression, mark), (mark,))
        where = (*nodes_of(conditions), having.node, *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(table, (dimension.expression, measure.expression), where=where)
        return Plan("having", table, spec, conditions, (measure,), (dimension,), having=having)

    def _threshold(self, table: str, measure: Measure) -> Slot:
        if measure.name == "count":
            number = str(self.rng.choice((1, 2, 3, 5, 10, 20, 50, 100)))
            return Slot("N", number, number)
        return number_slot(self.rng, *self.lexicon.semantic(table, measure.column))

    def shape_share(self) -> Plan | None:
        table = self.table()
        dimension = self.dimension(table)
        measure = self.count(table) if self.rng.random() < 0.25 else self.measure(table, ("sum",))
        if dimension is None or measure is None or measure.name not in ("sum", "count"):
            return None
        conditions = self.some(table, _OFTEN, dimension)
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(table, (dimension.expression, Window("share", measure.expression)), where=where)
        return Plan("share", table, spec, conditions, (measure,), (dimension,))

    def shape_above(self) -> Plan | None:
        """Groups above the average: of all groups' totals, or of all rows."""
        table = self.table()
        dimension = self.dimension(table)
        measure = self.measure(table, ("sum", "avg")) if self.rng.random() < 0.8 else self.count(table)
        if dimension is None or measure is None or measure.name not in ("sum", "avg", "count"):
            return None
        conditions = self.some(table, _OFTEN, dimension)
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

    def shape_bucket(self) -> Plan | None:
        table = self.table()
        options = self.measurable(table)
        if not options:
            return None
        column, semantic = self.rng.choice(options)
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
        skip = self._kin_columns(child)
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
