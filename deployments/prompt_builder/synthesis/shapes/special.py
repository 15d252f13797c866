"""Rarer shapes: entities, dates of events, gaps, champions of groups, yes or no, both and neither."""

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Arithmetic,
    ColumnRef,
    Compare,
    Expr,
    Flag,
    InList,
    IsNull,
    NumberLiteral,
    Predicate,
    QuerySpec,
    SortKey,
    Subquery,
    Today,
    Window,
)
from deployments.prompt_builder.synthesis.pieces import FEW, OFTEN, ONE, SOME, nodes_of, sort_by
from deployments.prompt_builder.synthesis.plan import Attribute, Cond, Dimension, Measure, Order, Plan
from deployments.prompt_builder.synthesis.shapes.sides import SideShapes


class SpecialShapes(SideShapes):
    """Shapes that few questions have, each with its own words."""

    def shape_entity(self) -> Plan | None:
        """What a name column fixes: "what rate is Maya on", "all workers with their trade"."""
        table = self.table()
        entities = self.lexicon.table(table).entities
        if not entities:
            return None
        column, fixed = self.rng.choice(sorted(entities.items()))
        names = self.rng.sample(fixed, self.rng.choice((1, 1, len(fixed))))
        columns = tuple(Attribute(table, n, ColumnRef(table, n)) for n in names)
        named = self.rng.random() < 0.5
        cond = self.name(table, column, "name") if named else None
        conditions = (
            (cond,)
            if cond
            else self.conditions(table, self.rng.choice((0, 1)), frozenset({f"{table}.{column}"}))
        )
        if cond is not None and cond.kind != "name":
            return None
        label = () if cond else (ColumnRef(table, column),)
        order = Order(columns[-1], True) if not cond and self.rng.random() < 0.2 else None
        spec = QuerySpec(
            table, (*label, *(c.expression for c in columns)), True, nodes_of(conditions), sort_by(order)
        )
        dimension = Dimension(table, column, ColumnRef(table, column))
        return Plan("entity", table, spec, conditions, dimensions=(dimension,), columns=columns, order=order)

    def shape_when(self) -> Plan | None:
        """The date of the last or the first such row, alone or per group."""
        table = self.table()
        info = self.world.tables[table]
        dates = info.of_role("date")
        if not dates:
            return None
        main = info.fields.get(info.date or "")
        field = main if main and self.rng.random() < 0.85 else self.rng.choice(dates)
        last = self.rng.random() < 0.72
        measure = self.build(table, "max" if last else "min", field.name)
        dimension = self.dimension(table) if self.rng.random() < 0.3 else None
        dims = (dimension,) if dimension else ()
        skip = self.free_of(*dims) | {f"{table}.{field.name}"}
        conditions = self.conditions(table, self.rng.choice(OFTEN if dims else SOME), skip)
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        since = field.date_only and last and self.rng.random() < 0.25
        shown: Expr = Arithmetic("-", Today(), measure.expression) if since else measure.expression
        spec = QuerySpec(table, (*(d.expression for d in dims), shown), where=where)
        return Plan("since" if since else "when", table, spec, conditions, (measure,), dims)

    def shape_gap(self) -> Plan | None:
        """The longest time between two such rows."""
        table = self.table()
        info = self.world.tables[table]
        if not info.date or info.children:
            return None
        longest = self.rng.random() < 0.75
        gap = Aggregate("max" if longest else "avg", Window("change", ColumnRef(table, info.date)))
        conditions = self.conditions(table, self.rng.choice(SOME), rich=False)
        return Plan(
            "gap" if longest else "average_gap",
            table,
            QuerySpec(table, (gap,), where=nodes_of(conditions)),
            conditions,
        )

    def shape_nth(self) -> Plan | None:
        """The second or third largest row."""
        table = self.table()
        key = self.sortable(table)
        if key is None:
            return None
        order = Order(key, self.rng.random() < 0.75)
        place = self.rng.choice((2, 2, 2, 3))
        conditions = self.conditions(table, self.rng.choice(OFTEN), frozenset({f"{table}.{key.column}"}))
        label = self.world.tables[table].label
        show: tuple[Expr, ...] = (ColumnRef(table, label), key.expression) if label else ()
        offset = NumberLiteral(str(place - 1))
        spec = QuerySpec(
            table, show, where=nodes_of(conditions), sort=sort_by(order), limit=ONE, offset=offset
        )
        plan = Plan("nth", table, spec, conditions, order=order, one=True)
        plan.note = str(place)
        return plan

    def shape_derived(self) -> Plan | None:
        """Two figures of each named row set against each other: a percentage, a difference, a ratio."""
        table = self.rng.choice([t for t, i in self.world.tables.items() if i.label] or [""])
        if not table:
            return None
        info = self.world.tables[table]
        numbers = [
            (n, e, s)
            for n, e, s, u in self.numbers(table)
            if s in ("currency", "count", "percent") and " per " not in (u or "")
        ]
        if len(numbers) < 2:
            return None
        (first, a, kind_a), (second, b, kind_b) = self.rng.sample(numbers, 2)
        same = kind_a == kind_b
        kind = self.rng.choice(("percent", "difference", "ratio")) if same else "ratio"
        expression: Expr = Arithmetic("-", a, b)
        if kind == "percent":
            expression = Arithmetic("/", Arithmetic("*", NumberLiteral("100"), a), b)
        elif kind == "ratio":
            expression = Arithmetic("/", a, b)
        columns = (Attribute(table, first, a), Attribute(table, second, b))
        conditions = self.conditions(
            table, self.rng.choice((0, 1, 1, 2)), frozenset({f"{table}.{first}", f"{table}.{second}"})
        )
        both = kind == "difference" and self.rng.random() < 0.4
        figures = (a, b, expression) if both else (expression,)
        sort = (SortKey(expression, True),) if self.rng.random() < 0.25 else ()
        spec = QuerySpec(
            table, (ColumnRef(table, info.label or ""), *figures), where=nodes_of(conditions), sort=sort
        )
        plan = Plan("derived", table, spec, conditions, columns=columns)
        plan.note = f"{kind}{' both' if both else ''}{' sorted' if sort else ''}"
        return plan

    def shape_champion(self) -> Plan | None:
        """Per group, the member of another grouping with the most: "for each project, the vendor we paid
        most".
        """
        table = self.table()
        outer, inner = self.dimension(table), self.dimension(table)
        if self.rng.random() < 0.15:
            inner = self.bucket(table, ("month", "month", "day", "week", "year"))
        measure = self._rank_measure(table)
        if outer is None or inner is None or measure is None or outer.expression == inner.expression:
            return None
        if inner.owner in self.world.tables[outer.owner].ancestors or inner.owner == outer.owner != table:
            return None
        if (measure.owner, measure.column) in ((outer.owner, outer.column), (inner.owner, inner.column)):
            return None
        one = self.rng.random() < 0.65
        order = Order(measure, self.rng.random() < 0.88)
        conditions = self.some(table, OFTEN, outer, inner)
        mark = None if one else self._count_mark()
        dims = (outer, inner)
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        shown = (outer.expression, inner.expression, measure.expression)
        spec = QuerySpec(
            table, shown, where=where, sort=sort_by(order), limit=mark or ONE, limit_per=(outer.expression,)
        )
        return Plan("champion", table, spec, conditions, (measure,), dims, order=order, limit=mark, one=one)

    def shape_duplicates(self) -> Plan | None:
        """Values of a column that should be unique but stand on several rows."""
        table = self.table()
        info = self.world.tables[table]
        fields = [
            f for f in info.of_role("name", "text") if f.name == info.label or f.nullable or f.role == "text"
        ]
        if not fields:
            return None
        field = self.rng.choice(fields)
        conditions = self.conditions(table, self.rng.choice((0, 0, 1)), frozenset({field.key}))
        known = (IsNull(field.ref, negated=True),) if field.nullable else ()
        count = self.count(table)
        where = (*nodes_of(conditions), *known, Compare(">", count.expression, NumberLiteral("1")))
        dimension = Dimension(table, field.name, field.ref)
        spec = QuerySpec(table, (field.ref, count.expression), where=where)
        return Plan("duplicates", table, spec, conditions, (count,), (dimension,))

    def shape_yesno(self) -> Plan | None:
        """Whether a named thing meets a predicate."""
        table = self.rng.choice([t for t, i in self.world.tables.items() if i.label and i.predicates] or [""])
        if not table:
            return None
        info = self.world.tables[table]
        cond = self.name(table, info.label or "", "name")
        if cond is None or cond.kind != "name":
            return None
        chosen = self.rng.choice(info.predicates)
        predicate = Predicate(table, chosen.name)
        asked = Cond("predicate", table, chosen.name, predicate)
        shown = (ColumnRef(table, info.label or ""), Flag(predicate))
        return Plan("yesno", table, QuerySpec(table, shown, where=(cond.node,)), (cond,), pair=(asked,))

    def shape_both(self) -> Plan | None:
        """Members of one grouping that occur with both of two others: "who worked at A and at B"."""
        table = self.table()
        outer = self.dimension(table)
        labels = [(p, self.world.tables[p].label) for p in self.world.tables[table].parents]
        options = [(p, label) for p, label in labels if label]
        if outer is None or not options:
            return None
        owner, label = self.rng.choice(options)
        if outer.owner == owner or not self._is_name(outer):
            return None
        pair = self.name(owner, label, "names")
        if pair is None or len({self.slots.slots[int(m.name[1:])].value for m in pair.marks}) < 2:
            return None
        conditions = self.conditions(
            table, self.rng.choice((0, 1, 1)), self.free_of(outer) | {f"{owner}.{label}"}
        )
        distinct = Aggregate("count", ColumnRef(owner, label), distinct=True)
        where = (*nodes_of(conditions), pair.node, Compare("=", distinct, NumberLiteral("2")))
        spec = QuerySpec(table, (outer.expression,), where=(*where, *self.kept(table, (outer,), conditions)))
        return Plan("both", table, spec, conditions, dimensions=(outer,), pair=(pair,))

    def shape_absent(self) -> Plan | None:
        """Members of a grouping without such rows: "who was not on Riverside last week"."""
        table = self.table()
        info = self.world.tables[table]
        persons = self.lexicon.table(table).entities
        if not persons:
            return None
        column = ColumnRef(table, self.rng.choice(sorted(persons)))
        conditions = self.conditions(
            table, self.rng.choice((1, 2, 2)), frozenset({f"{table}.{column.column}"}), False
        )
        if not conditions or info.label:
            return None
        inner = Subquery(QuerySpec(table, (column,), where=nodes_of(conditions)))
        spec = QuerySpec(table, (column,), True, (InList(column, (inner,), negated=True),))
        dimension = Dimension(table, column.column, column)
        return Plan("absent", table, spec, conditions, dimensions=(dimension,))

    def shape_split(self) -> Plan | None:
        """One column per lookup word: "paid and rejected side by side, per project"."""
        table = self.table()
        fields = [f for f in self.world.tables[table].of_role("lookup") if len(f.values) > 1]
        measure = self.count(table) if self.rng.random() < 0.3 else self.measure(table, ("sum", "sum", "avg"))
        if not fields or measure is None:
            return None
        field = self.rng.choice(fields)
        count = 2 if len(field.values) < 3 or self.rng.random() < 0.7 else 3
        parts = [self.word(table, field.name, v) for v in self.rng.sample(field.values, count)]
        shown: list[Expr] = [self.build(table, measure.name, measure.column, (p,)).expression for p in parts]
        ratio = count == 2 and measure.name != "avg" and self.rng.random() < 0.3
        if ratio:
            shown = [Arithmetic("/", shown[0], shown[1])]
        chance = self.rng.random()
        dimension = self.dimension(table) if chance < 0.45 else self.bucket(table) if chance < 0.6 else None
        if dimension is not None and dimension.column == field.name:
            return None
        dims = (dimension,) if dimension else ()
        conditions = self.conditions(
            table, self.rng.choice((0, 0, 1, 1, 2)), self.free_of(*dims) | {field.key}
        )
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        sort: tuple[SortKey, ...] = tuple(SortKey(d.expression) for d in dims if d.part)
        spec = QuerySpec(table, (*(d.expression for d in dims), *shown), where=where, sort=sort)
        return Plan(
            "quotient" if ratio else "split", table, spec, conditions, (measure,), dims, pair=tuple(parts)
        )

    def shape_rate(self) -> Plan | None:
        """An average per member of a grouping: "average spend per vendor"."""
        table = self.table()
        dimension = self.dimension(table)
        measure = self.count(table) if self.rng.random() < 0.4 else self.measure(table, ("sum",))
        if dimension is None or measure is None or measure.name not in ("sum", "count"):
            return None
        conditions = self.some(table, FEW, dimension)
        average = Aggregate("avg", measure.expression, by=(dimension.expression,))
        where = (*nodes_of(conditions), *self.kept(table, (dimension,), conditions))
        spec = QuerySpec(table, (average,), where=where)
        return Plan("rate", table, spec, conditions, (measure,), (dimension,))

    def shape_yearly(self) -> Plan | None:
        """This period against the one before, per group, with the difference or the change in percent."""
        table = self.table()
        date = self.world.tables[table].date
        measure = self.measure(table, ("sum", "sum", "avg")) if self.rng.random() < 0.8 else self.count(table)
        if date is None or measure is None or self.world.tables[table].children:
            return None
        pair = self._ordered_periods(table, date)
        dimension = self.dimension(table) if self.rng.random() < 0.6 else None
        dims = (dimension,) if dimension else ()
        skip = self.free_of(*dims) | {f"{table}.{date}"}
        conditions = self.conditions(table, self.rng.choice((0, 0, 1, 1)), skip)
        first, second = (self.build(table, measure.name, measure.column, (p,)).expression for p in pair)
        newer, older = (first, second) if pair[0].words == ("newer",) else (second, first)
        kind = self.rng.choice(("none", "difference", "percent"))
        difference = Arithmetic("-", newer, older)
        change: Expr = difference
        if kind == "percent":
            change = Arithmetic("/", Arithmetic("*", NumberLiteral("100"), difference), older)
        shown = (first, second) if kind == "none" else (first, second, change)
        where = (*nodes_of(conditions), *self.kept(table, dims, conditions))
        spec = QuerySpec(table, (*(d.expression for d in dims), *shown), where=where)
        plan = Plan("yearly", table, spec, conditions, (measure,), dims, pair=pair)
        plan.note = kind
        return plan

    def _ordered_periods(self, table: str, date: str) -> tuple[Cond, Cond]:
        """Two periods of which one is known to be the later."""
        unit = self.rng.choice(("month", "month", "year", "year", "quarter", "week"))
        texts = self.rng.choice(
            (
                (f"this {unit}", f"last {unit}"),
                (f"this {unit}", f"last {unit}"),
                (f"last {unit}", f"the {unit} before last"),
                (str(self.year), str(self.year - 1)),
                (str(self.year - 1), str(self.year - 2)),
            )
        )
        field = self.world.tables[table].fields[date]
        newer, older = (self.date_said(field, t) for t in texts)
        marked = (
            Cond(newer.kind, table, date, newer.node, newer.marks, ("newer",)),
            Cond(older.kind, table, date, older.node, older.marks, ("older",)),
        )
        return marked if self.rng.random() < 0.65 else (marked[1], marked[0])

    def shape_balance(self) -> Plan | None:
        """Two sums over child rows per parent and the gap between them; or the parents where one exceeds the
        other.
        """
        parents = [t for t, i in self.world.tables.items() if i.children and i.label]
        if not parents:
            return None
        table = self.rng.choice(parents)
        info = self.world.tables[table]
        drawn = [self.child_measure(table, self.rng.choice(info.children)) for _ in range(4)]
        sums = {m.expression: m for m in drawn if m and m.name == "sum" and self._is_money(m)}
        if len(sums) < 2:
            return None
        first, second = list(sums.values())[:2]
        if first.table == second.table and not (first.conditions and second.conditions):
            return None
        conditions = self.some(table, (0, 1, 1, 2))
        shown: tuple[Expr, ...] = (ColumnRef(table, info.label or ""), first.expression, second.expression)
        gap = self.rng.random() < 0.6
        where = nodes_of(conditions)
        if gap:
            shown = (*shown, Arithmetic("-", first.expression, second.expression))
        else:
            where = (*where, Compare(">", first.expression, second.expression))
        plan = Plan("balance", table, QuerySpec(table, shown, where=where), conditions, (first, second))
        plan.note = "gap" if gap else "exceeds"
        return plan

    def _is_money(self, measure: Measure) -> bool:
        return self.lexicon.semantic(measure.table, measure.column)[0] == "currency"
