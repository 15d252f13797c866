"""Turns that change what is shown and how much of it."""

from dataclasses import replace

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    DateBucket,
    Expr,
    Placeholder,
    QuerySpec,
    SortKey,
)
from deployments.prompt_builder.synthesis.pieces import ONE
from deployments.prompt_builder.synthesis.plan import Attribute, Measure, Order
from deployments.prompt_builder.synthesis.turns.base import argument_of, dimensions_of
from deployments.prompt_builder.synthesis.turns.groups import GroupTurns


class ViewTurns(GroupTurns):
    """Order, size, columns and figures of child rows."""

    def change_order(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if spec.limit or spec.distinct:
            return None
        if self._grouped(spec):
            keys = [e for e in spec.show if isinstance(e, Aggregate)]
            if not dimensions_of(spec) or not keys:
                return None
            descending = self.rng.random() < 0.8
            order = Order(Measure(keys[-1].name, spec.table, keys[-1], *argument_of(keys[-1])), descending)
            if not (isinstance(order.key, Measure) and order.key.column):
                return None
        else:
            key = self.pieces.sortable(spec.table)
            if key is None:
                return None
            order = Order(key, self.rng.random() < 0.65)
        text = self.voice.order_tail(order)
        return replace(spec, sort=(SortKey(order.key.expression, order.descending),)), self.say(
            "order", order=text
        )

    def change_top(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """The first few of a list, the largest groups, more or fewer of them, the next ones."""
        mark = self.pieces.limit()[0]
        assert isinstance(mark, Placeholder)
        n = self.slots.mark(mark)
        if isinstance(spec.limit, Placeholder) and not spec.limit_per:
            if self.rng.random() < 0.3:
                return replace(spec, limit=mark, offset=spec.limit), self.say("next", n=n)
            return replace(spec, limit=mark), self.say("more_rows", n=n)
        if spec.limit or spec.distinct:
            return None
        if not self._grouped(spec):
            if spec.sort:
                return replace(spec, limit=mark), self.say(self.rng.choice(("first", "top")), n=n)
            return replace(spec, limit=mark), self.say("first", n=n)
        keys = [e for e in spec.show if isinstance(e, Aggregate)]
        if not dimensions_of(spec) or not keys or any(isinstance(e, DateBucket) for e in spec.show):
            return None
        if self.rng.random() < 0.25:
            return replace(spec, sort=(SortKey(keys[0], True),), limit=ONE), self.say("top_one")
        up = self.rng.random() < 0.88
        return replace(spec, sort=(SortKey(keys[0], up),), limit=mark), self.say(
            "top" if up else "bottom", n=n
        )

    def change_columns(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Other columns of the rows that were shown."""
        if self._grouped(spec):
            return self._group_columns(spec)
        if spec.distinct:
            return None
        columns = self.pieces.attributes(spec.table, self.rng.choice((1, 1, 2)))
        columns = tuple(c for c in columns if c.expression not in spec.show)
        if not columns:
            return None
        shown = spec.show or self.pieces.show(spec.table, ())
        if not shown:
            shown = self._identity(spec.table)
        return replace(
            spec, show=tuple(dict.fromkeys((*shown, *(c.expression for c in columns))))
        ), self._columns(spec, columns)

    def _identity(self, table: str) -> tuple[Expr, ...]:
        info = self.world.tables[table]
        return tuple(ColumnRef(table, n) for n in (info.date, info.terms.measure) if n)

    def _group_columns(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Columns of the things that groups stand for: "their ratings"."""
        owners = [
            d.table
            for d in dimensions_of(spec)
            if isinstance(d, ColumnRef)
            and self.world.tables.get(d.table)
            and self.world.tables[d.table].label == d.column
        ]
        if len(owners) != 1 or spec.limit_per:
            return None
        info = self.world.tables[owners[0]]
        options = [
            f
            for f in info.fields.values()
            if f.role in ("lookup", "measure", "date", "name")
            and f.name != info.label
            and f.ref not in spec.show
        ]
        if not options:
            return None
        field = self.rng.choice(options)
        column = Attribute(field.table, field.name, field.ref)
        return replace(spec, show=(*spec.show, field.ref)), self._columns(spec, (column,))

    def _columns(self, spec: QuerySpec, columns: tuple[Attribute, ...]) -> str:
        nouns = [self.voice.column_noun(c, spec.table) for c in columns]
        if len(columns) == 1:
            field = self.world.field(columns[0].owner, columns[0].column)
            plural = self.voice.group_nouns(columns[0].owner, columns[0].column, spec.table)
            if field is not None and field.role == "name" and self.rng.random() < 0.5:
                return self.say("names", cols=plural)
            if self.rng.random() < 0.5:
                nouns = [plural]
        return self.say("columns", cols=self.voice.joined(nouns, "and"))

    def change_child(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """A measure of child rows beside each row."""
        info = self.world.tables[spec.table]
        if self._grouped(spec) or spec.distinct or not info.children or not info.label:
            return None
        measure = self.pieces.child_measure(spec.table, self.rng.choice(info.children))
        if measure is None:
            return None
        shown = (ColumnRef(spec.table, info.label), measure.expression)
        return replace(spec, show=shown, sort=(), limit=spec.limit if spec.sort else None), self.say(
            "child", m=self.voice.measure_noun(measure)
        )
