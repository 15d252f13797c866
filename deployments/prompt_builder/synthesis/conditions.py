"""Sampling of conditions over a table and its kin."""

from collections.abc import Callable

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AnyOf,
    Arithmetic,
    ColumnRef,
    Compare,
    Comparison,
    Condition,
    DateBucket,
    Exists,
    Expr,
    InList,
    IsNull,
    Negation,
    NumberLiteral,
    Placeholder,
    Predicate,
    TextMatch,
)
from deployments.prompt_builder.synthesis.column_conditions import ColumnConditions
from deployments.prompt_builder.synthesis.plan import Cond, CondKind, Measure
from deployments.prompt_builder.synthesis.slots import Slot
from deployments.prompt_builder.synthesis.surfaces import number_slot

_PARENT_KINDS = ("name", "name", "name", "word", "word", "name_other", "predicate")


class ConditionSampler(ColumnConditions):
    """Draws conditions of every kind over a table and its kin."""

    def conditions(
        self, table: str, count: int, skip: frozenset[str] = frozenset(), rich: bool = True
    ) -> tuple[Cond, ...]:
        """Up to ``count`` conditions on different columns; those of ``skip`` ("t.c") stay free."""
        taken = set(skip)
        found: list[Cond] = []
        for _ in range(count * 3):
            if len(found) == count:
                break
            cond = self._draw(table, taken, rich)
            if cond is None:
                continue
            keys = self._keys(cond)
            if keys & taken:
                continue
            taken |= keys
            if cond.owner != table and cond.kind in ("name", "names"):
                taken.update(f"{cond.owner}.{f}" for f in self.world.tables[cond.owner].fields)
            found.append(cond)
        return tuple(found)

    def _keys(self, cond: Cond) -> set[str]:
        """The columns a condition speaks of; a predicate's are those of its expression."""
        keys = {f"{cond.owner}.{column}" for column in cond.column.split("|")}
        derived = self.lexicon.derived(cond.owner, cond.column)
        if derived is not None:
            keys |= {
                f"{cond.owner}.{c}" for c in self.world.tables[cond.owner].fields if c in derived.expression
            }
        return keys

    def _draw(self, table: str, taken: set[str], rich: bool) -> Cond | None:
        info = self.world.tables[table]
        chance = self.rng.random()
        parents = info.ancestors
        if parents and chance < 0.34:
            return self._parent(table, taken)
        if chance < 0.58:
            return self._lookup(table)
        if chance < 0.72:
            return self._date(table)
        if chance < 0.80:
            return self._name(table)
        if chance < 0.88:
            return self._amount(table)
        if chance < 0.93:
            return self._predicate(table)
        if not rich:
            return None
        return self.rng.choice((self._null, self._columns, self._text, self._kin, self._average, self._kin))(
            table
        )

    @property
    def _rare(self) -> tuple[Callable[[str], Cond | None], ...]:
        return (
            *(self._null, self._null, self._columns, self._text, self._kin, self._kin, self._average),
            *(self._weekday, self._weekday, self._either, self._kin),
        )

    def _weekday(self, table: str) -> Cond | None:
        """Rows of one day of the week, or of the weekend."""
        info = self.world.tables[table]
        if not info.date or info.children:
            return None
        day = DateBucket("weekday", ColumnRef(table, info.date))
        number = self.rng.randint(1, 8)
        if number == 8:
            node: Condition = InList(day, (NumberLiteral("6"), NumberLiteral("7")))
            return Cond("weekday", table, info.date, node, words=("weekend",))
        node = Compare("=", day, NumberLiteral(str(number)))
        return Cond("weekday", table, info.date, node, words=(str(number),))

    def _either(self, table: str) -> Cond | None:
        """One of two conditions on different columns."""
        first, second = self._lookup(table), self.rng.choice((self._amount, self._null, self._date))(table)
        if first is None or second is None or first.kind not in ("word",) or second.column == first.column:
            return None
        return Cond(
            "either",
            table,
            f"{first.column}|{second.column}",
            AnyOf((first.node, second.node)),
            child=(first, second),
        )

    def _parent(self, table: str, taken: set[str]) -> Cond | None:
        info = self.world.tables[table]
        owner = self.rng.choice((*info.parents, *info.parents, *info.ancestors))
        if owner == table:
            return None
        label = self.world.tables[owner].label
        named = label is not None and f"{owner}.{label}" in taken
        kind = self.rng.choice(_PARENT_KINDS)
        if kind == "name" and label:
            touched = any(t.startswith(f"{owner}.") for t in taken)
            return None if touched else self.name(owner, label)
        if named:
            return None
        if kind == "word":
            return self._lookup(owner)
        if kind == "predicate":
            return self._predicate(owner)
        return (
            self._name(owner)
            if self.rng.random() < 0.7
            else self.rng.choice((self._amount, self._date))(owner)
        )

    def _name(self, table: str) -> Cond | None:
        info = self.world.tables[table]
        fields = [f for f in info.of_role("name") if f.values]
        if not fields:
            return None
        column = self.rng.choice(fields).name
        # A row that is named needs no further conditions; such questions have shapes of their own.
        if column == info.label and self.rng.random() < 0.85:
            return None
        return self.name(table, column)

    def _lookup(self, table: str) -> Cond | None:
        fields = self.world.tables[table].of_role("lookup")
        if not fields:
            return None
        field = self.rng.choice(fields)
        return self.lookup(field)

    def _date(self, table: str) -> Cond | None:
        info = self.world.tables[table]
        fields = info.of_role("date")
        if not fields:
            return None
        main = info.fields.get(info.date or "")
        field = main if main and self.rng.random() < 0.65 else self.rng.choice(fields)
        return self.date(field)

    def _amount(self, table: str) -> Cond | None:
        options = self.numbers(table)
        if not options:
            return None
        main = self.world.tables[table].terms.measure
        chosen = (
            next((o for o in options if o[0] == main), options[0])
            if self.rng.random() < 0.5
            else self.rng.choice(options)
        )
        return self.amount(table, chosen)

    def _predicate(self, table: str) -> Cond | None:
        predicates = self.world.tables[table].predicates
        if not predicates:
            return self._lookup(table)
        chosen = self.rng.choice(predicates)
        node: Condition = Predicate(table, chosen.name)
        if self.rng.random() < 0.1:
            return Cond("not_predicate", table, chosen.name, Negation(node))
        return Cond("predicate", table, chosen.name, node)

    def _null(self, table: str) -> Cond | None:
        fields = [f for f in self.world.tables[table].fields.values() if f.nullable and f.role != "id"]
        if not fields:
            return None
        field = self.rng.choice(fields)
        if self.rng.random() < 0.3:
            return Cond("not_null", table, field.name, IsNull(field.ref, negated=True))
        return Cond("null", table, field.name, IsNull(field.ref))

    def _columns(self, table: str) -> Cond | None:
        info = self.world.tables[table]
        dates = [f.name for f in info.of_role("date") if f.date_only]
        money = [n for n, _, s, u in self.numbers(table) if s == "currency" and not (u and " per " in u)]
        pool, later = (dates, True) if len(dates) > 1 and self.rng.random() < 0.5 else (money, False)
        if len(pool) < 2:
            return None
        left, right = self.rng.sample(pool, 2)
        up = self.rng.random() < 0.6
        word = ("later_than" if up else "earlier_than") if later else ("greater_than" if up else "less_than")
        node = Compare(">" if up else "<", ColumnRef(table, left), ColumnRef(table, right))
        return Cond("columns", table, left, node, words=(word,), other=right)

    def _text(self, table: str) -> Cond | None:
        fields = [
            f
            for f in self.world.tables[table].of_role("name")
            if f.values and f.name == self.world.tables[table].label
        ]
        if not fields:
            return None
        field = self.rng.choice(fields)
        word = self.rng.choice(self.rng.choice(field.values).split())
        if len(word) < 4:
            return None
        mark = self.slots.add(Slot("V", word, f"~{word}", table, field.name))
        return Cond("contains", table, field.name, TextMatch("contains", field.ref, mark), (mark,))

    def _average(self, table: str) -> Cond | None:
        """Rows against the average of all such rows, or of their group."""
        options = self.numbers(table)
        if not options:
            return None
        main = self.world.tables[table].terms.measure
        name, ref, _semantic, _ = next((o for o in options if o[0] == main), self.rng.choice(options))
        group = self._group_column(table) if self.rng.random() < 0.35 else None
        per: tuple[Expr, ...] = (group,) if group else ()
        average: Expr = Aggregate("avg", ref, per=per)
        factor: Placeholder | None = None
        if self.rng.random() < 0.3:
            number = self.rng.choice(("2", "3", "5", "10", "1.5"))
            factor = self.slots.add(Slot("N", number, number))
            average = Arithmetic("*", factor, average)
        above = factor is not None or self.rng.random() < 0.75
        node = Compare(">" if above else "<", ref, average)
        other = f"{group.table}.{group.column}" if group else ""
        kind: CondKind = "above_average" if above else "below_average"
        return Cond(kind, table, name, node, other=other, factor=factor)

    def _group_column(self, table: str) -> ColumnRef | None:
        options = [f.ref for f in self.world.tables[table].of_role("lookup")]
        for parent in self.world.tables[table].parents:
            label = self.world.tables[parent].label
            if label:
                options.append(ColumnRef(parent, label))
        return self.rng.choice(options) if options else None

    def _kin(self, table: str) -> Cond | None:
        """Exists, not exists, and counts of child rows."""
        children = [c for c in self.world.tables[table].children if table in self.world.tables[c].parents]
        if not children:
            return None
        child = self.rng.choice(children)
        inner = self.conditions(
            child, self.rng.choice((0, 1, 1, 2)), self._kin_columns(child, table), rich=False
        )
        nodes = tuple(c.node for c in inner)
        chance = self.rng.random()
        if chance < 0.72:
            negated = chance < 0.47
            node: Condition = Exists(child, nodes, negated)
            return Cond("none" if negated else "exists", table, f"#{child}", node, child=inner, other=child)
        if self.rng.random() < 0.35:
            return self._child_amount(table, child, inner)
        number = str(self.rng.choice((1, 2, 3, 3, 5, 10, 20, 50)))
        mark = self.slots.add(Slot("N", number, number))
        kind: CondKind = self.rng.choice(("child_more", "child_more", "child_less"))
        operator: Comparison = ">" if kind == "child_more" else "<"
        words: tuple[str, ...] = ()
        if kind == "child_more" and self.rng.random() < 0.35:
            operator, words = ">=", ("at_least",)
        node = Compare(operator, Aggregate("count", table=child, conditions=nodes), mark)
        return Cond(kind, table, f"#{child}", node, (mark,), words=words, child=inner, other=child)

    def _child_amount(self, table: str, child: str, inner: tuple[Cond, ...]) -> Cond | None:
        """A sum over child rows against a number: "with more than 50k of unpaid bills"."""
        sums = [o for o in self.numbers(child) if o[2] == "currency" and " per " not in (o[3] or "")]
        main = self.world.tables[child].terms.measure
        chosen = next((o for o in sums if o[0] == main), None)
        if chosen is None:
            return None
        nodes = tuple(c.node for c in inner)
        total = Aggregate("sum", ColumnRef(child, chosen[0]), conditions=nodes)
        measure = Measure("sum", child, total, chosen[0], child, inner)
        mark = self.slots.add(number_slot(self.rng, chosen[2], chosen[3]))
        kind: CondKind = self.rng.choice(("child_more", "child_more", "child_less"))
        node = Compare(">" if kind == "child_more" else "<", total, mark)
        return Cond(kind, table, f"#{child}", node, (mark,), child=inner, other=child, measure=measure)

    def _kin_columns(self, child: str, table: str) -> frozenset[str]:
        """Columns of the outer row and its ancestors: not asked inside a relation, where the outer row stands
        for them.
        """
        return frozenset(f"{o}.{c}" for o in self.world.kin(table) for c in self._all_columns(o))

    def _all_columns(self, table: str) -> tuple[str, ...]:
        info = self.world.tables[table]
        derived = tuple(d.name for d in (*info.values, *info.predicates))
        return (*info.fields, *derived)
