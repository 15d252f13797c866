"""Follow-up turns: a short turn changes the meaning before it into a new one.

Every change works on any specification, whoever wrote it. A placeholder of the meaning before is called
``P…`` while the turn is made, so that it stays apart from the turn's own slots.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    Compare,
    Condition,
    DateBucket,
    Exists,
    Expr,
    InDates,
    InList,
    Placeholder,
    QuerySpec,
    SortKey,
    Subquery,
    TextLiteral,
)
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.pieces import ONE
from deployments.prompt_builder.synthesis.plan import Attribute, Cond, Dimension, Measure, Order
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.realizer.sentences import Realizer
from deployments.prompt_builder.synthesis.sampler import PlanSampler
from deployments.prompt_builder.synthesis.slots import Slot, SlotTable
from deployments.prompt_builder.synthesis.surfaces import date_text, name_slot, number_slot
from deployments.prompt_builder.synthesis.world import World


@dataclass(frozen=True, slots=True)
class Change:
    """A new meaning and the turn that asks for it (with slot marks)."""

    kind: str
    spec: QuerySpec
    text: str


class FollowUps:
    """Changes one meaning; made per turn, for the turn's slots."""

    def __init__(
        self, rng: random.Random, world: World, lexicon: Lexicon, slots: SlotTable, year: int
    ) -> None:
        self.rng = rng
        self.world = world
        self.slots = slots
        self.year = year
        self.pieces = PlanSampler(rng, world, lexicon, slots, year)
        self.voice = Realizer(rng, lexicon, slots)
        self.lexicon = lexicon

    def change(self, spec: QuerySpec, kind: str) -> Change | None:
        method: Callable[[QuerySpec], tuple[QuerySpec, str] | None] = getattr(self, f"change_{kind}")
        self.slots.slots.clear()
        found = method(spec)
        return None if found is None or found[0] == spec else Change(kind, found[0], found[1])

    def say(self, key: str, **fillers: str) -> str:
        return self.voice.one_of(english("followups")[key], fillers)

    def _grouped(self, spec: QuerySpec) -> bool:
        """An aggregate over the base rows is shown (one over child rows is a value of each row)."""
        return any(
            isinstance(n, Aggregate) and not self._of_child(n, spec.table) for e in spec.show for n in walk(e)
        )

    def _of_child(self, aggregate: Aggregate, table: str) -> bool:
        children = self.world.tables[table].children
        argument = aggregate.argument
        return aggregate.table in children or (
            argument is not None
            and any(isinstance(n, ColumnRef) and n.table in children for n in walk(argument))
        )

    # filters

    def change_filter(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        cond = self._fresh(spec)
        if cond is None:
            return None
        text = self._only(spec, cond)
        return replace(spec, where=(*spec.where, cond.node)), text

    def _fresh(self, spec: QuerySpec) -> Cond | None:
        """A condition on a column that the meaning does not use yet."""
        taken = frozenset(f"{n.table}.{n.column}" for n in walk(spec) if isinstance(n, ColumnRef))
        found = self.pieces.conditions(spec.table, 1, taken, rich=self.rng.random() < 0.2)
        return found[0] if found else None

    def _only(self, spec: QuerySpec, cond: Cond) -> str:
        if cond.owner == spec.table and self.rng.random() < 0.35 and (clause := self.voice.clause(cond)):
            return self.say("only_clause", x=clause)
        plain = cond.kind in ("word", "words", "name", "names") and (cond.words or cond.marks)
        if plain and self.rng.random() < 0.6:
            values = self.voice.joined(self.voice.value_words(cond))
            if cond.kind == "word" and cond.owner == spec.table and self.rng.random() < 0.6:
                values = self.rng.choice(
                    (
                        f"the {values} ones",
                        f"{values} ones",
                        f"{values} {self.lexicon.noun(self.rng, spec.table)}",
                    )
                )
            return self.say("only", x=values)
        if cond.owner != spec.table and self.rng.random() < 0.4:
            return self.say("only", x=self.voice.noun_phrase(cond.owner, (cond,)))
        return self.say("only_post", x=self.voice.posts(spec.table, (cond,)))

    def change_count_filter(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Of those, how many …"""
        cond = self._fresh(spec)
        if cond is None or cond.owner != spec.table or self._grouped(spec):
            return None
        clause = self.voice.clause(cond)
        if clause is None:
            return None
        counted = QuerySpec(spec.table, (Aggregate("count"),), where=(*spec.where, cond.node))
        return counted, self.say("count_clause", x=clause)

    def change_exclude(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        taken = {f"{n.table}.{n.column}" for n in walk(spec) if isinstance(n, ColumnRef)}
        options = [
            f for t in self.world.kin(spec.table) for f in self.world.tables[t].of_role("lookup", "name")
        ]
        options = [
            f
            for f in options
            if f.key not in taken and f.values and (f.table == spec.table or f.role == "name")
        ]
        if not options:
            return None
        field = self.rng.choice(options)
        value = self.rng.choice(field.values)
        if field.role == "lookup":
            word = self.lexicon.word(self.rng, field.table, field.name, value)
            node = Compare("!=", field.ref, TextLiteral(value))
            return replace(spec, where=(*spec.where, node)), self.say(
                "exclude", x=self.rng.choice((f"the {word} ones", word, f"{word} ones"))
            )
        mark = self.slots.add(name_slot(self.rng, field, value))
        return replace(spec, where=(*spec.where, Compare("!=", field.ref, mark))), self.say(
            "exclude", x=self.slots.mark(mark)
        )

    def change_swap(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Another value in place of one of the conditions."""
        places = [(i, new) for i, c in enumerate(spec.where) if (new := self._other(c)) is not None]
        if not places:
            return None
        index, (node, text) = self.rng.choice(places)
        where = (*spec.where[:index], node, *spec.where[index + 1 :])
        return replace(spec, where=where), self.say("swap", x=text)

    def _other(self, cond: Condition) -> tuple[Condition, str] | None:
        if isinstance(cond, InDates) and cond.relation == "in" and isinstance(cond.argument, ColumnRef):
            return self._other_date(cond, cond.argument)
        if isinstance(cond, Compare) and isinstance(cond.left, ColumnRef):
            if cond.operator == "=":
                return self._other_value(cond.left)
            return self._other_number(cond, cond.left)
        if isinstance(cond, InList) and isinstance(cond.argument, ColumnRef) and not cond.negated:
            return self._other_value(cond.argument)
        return None

    def _other_date(self, cond: InDates, column: ColumnRef) -> tuple[Condition, str]:
        main = column.column == self.world.tables[column.table].date
        mark = self.slots.add(Slot("D", date_text(self.rng, "past" if main else "future", self.year)))
        return InDates(column, mark), self.slots.mark(mark)

    def _other_value(self, column: ColumnRef) -> tuple[Condition, str] | None:
        field = self.world.field(column.table, column.column)
        if field is None or not field.values:
            return None
        value = self.rng.choice(field.values)
        if field.role == "lookup":
            word = self.lexicon.word(self.rng, field.table, field.name, value)
            ones = self.lexicon.usage(field.table, field.name) == "state"
            said = (
                self.rng.choice((f"the {word} ones", f"{word} ones", word))
                if ones
                else self.rng.choice((word, word, f"the {word}"))
            )
            return Compare("=", column, TextLiteral(value)), said
        if field.role != "name":
            return None
        mark = self.slots.add(name_slot(self.rng, field, value))
        said = self.slots.mark(mark)
        if self.rng.random() < 0.12:
            said = f"{self.rng.choice(('at', 'on', 'in', 'from', 'the'))} {said}"
        return Compare("=", column, mark), said

    def _other_number(self, cond: Compare, column: ColumnRef) -> tuple[Condition, str] | None:
        if not isinstance(cond.right, Placeholder) or cond.operator == "!=":
            return None
        mark = self.slots.add(number_slot(self.rng, *self.lexicon.semantic(column.table, column.column)))
        kind = {">": "more", "<": "less", ">=": "at_least", "<=": "at_most"}[cond.operator]
        said = self.slots.mark(mark)
        if self.rng.random() < 0.7:
            said = self.voice.words(kind, {"n": said})
        return Compare(cond.operator, column, mark), said

    def change_drop(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """One condition less."""
        if not spec.where:
            return None
        index = self.rng.randrange(len(spec.where))
        cond = spec.where[index]
        rest = (*spec.where[:index], *spec.where[index + 1 :])
        column = _column_of(cond)
        if column is None or self.world.field(column.table, column.column) is None:
            return None
        if isinstance(cond, InDates):
            return replace(spec, where=rest), self.say("drop_date", x="that period")
        info = self.world.tables[column.table]
        label = column.column == info.label
        singular = (
            self.lexicon.noun(self.rng, column.table, plural=False)
            if label
            else self.lexicon.term(self.rng, column.table, column.column)
        )
        plural = self.voice.group_nouns(column.table, column.column)
        if isinstance(cond, Compare) and isinstance(cond.right, TextLiteral):
            said = self.lexicon.word(self.rng, column.table, column.column, cond.right.value)
            return replace(spec, where=rest), self.say("drop", dim=singular, dims=plural, x=said)
        return (
            (replace(spec, where=rest), self.say("drop", dim=singular, dims=plural, x="that"))
            if label
            else None
        )

    # groups and aggregates

    def change_group(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """A grouping where there was a total."""
        if not spec.show or _dimensions(spec) or not self._grouped(spec) or spec.sort:
            return None
        dimension = self._dimension(spec)
        if dimension is None:
            return None
        return self._with_dimension(spec, dimension), self._by("group", spec, dimension)

    def _dimension(self, spec: QuerySpec) -> Dimension | None:
        if self.rng.random() < 0.25 and (bucket := self.pieces.bucket(spec.table)):
            return bucket
        fixed = {_column_of(c) for c in spec.where if isinstance(c, Compare) and c.operator == "="}
        options = [
            d
            for d in self.pieces.dimensions(spec.table)
            if d.expression not in fixed and d.expression not in spec.show
        ]
        return self.rng.choice(options) if options else None

    def _with_dimension(self, spec: QuerySpec, dimension: Dimension) -> QuerySpec:
        measures = tuple(e for e in spec.show if not isinstance(e, (ColumnRef, DateBucket)))
        sort: tuple[SortKey, ...] = (SortKey(dimension.expression),) if dimension.part else ()
        keys = self.world.tables[spec.table].optional_keys
        touched = {n.table for c in spec.where for n in walk(c) if isinstance(n, ColumnRef)}
        kept = (
            self.pieces.kept(spec.table, (dimension,), ())
            if dimension.owner in keys and dimension.owner not in touched
            else ()
        )
        kept = tuple(k for k in kept if k not in spec.where)
        return QuerySpec(spec.table, (dimension.expression, *measures), where=(*spec.where, *kept), sort=sort)

    def _by(self, key: str, spec: QuerySpec, dimension: Dimension) -> str:
        singular, plural = self.voice.dimension(dimension, spec.table)
        return self.say(key, by=self.voice.by((dimension,), spec.table), dim=singular, dims=plural)

    def change_regroup(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if len(_dimensions(spec)) != 1 or not self._grouped(spec) or spec.limit_per or spec.limit:
            return None
        dimension = self._dimension(spec)
        return (
            (self._with_dimension(spec, dimension), self._by("regroup", spec, dimension))
            if dimension
            else None
        )

    def change_ungroup(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if (
            len(_dimensions(spec)) != 1
            or not self._grouped(spec)
            or spec.limit
            or any(_aggregated(c) for c in spec.where)
        ):
            return None
        measures = tuple(e for e in spec.show if isinstance(e, Aggregate))
        if len(measures) != len(spec.show) - 1:
            return None
        return QuerySpec(spec.table, measures, where=spec.where), self.say("ungroup")

    def change_count(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if self._grouped(spec) or spec.limit or spec.distinct:
            return None
        return QuerySpec(spec.table, (Aggregate("count"),), where=spec.where), self.say("count")

    def change_count_by(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Rows, or names without repetition, to counts per group."""
        if self._grouped(spec) or spec.limit:
            return None
        if spec.distinct and len(spec.show) == 1:
            shown = (*spec.show, Aggregate("count"))
            return QuerySpec(spec.table, shown, where=spec.where), self.rng.choice(
                ("how many each", "how many for each", "with counts", "and how many each")
            )
        dimension = self._dimension(spec)
        if dimension is None:
            return None
        base = QuerySpec(spec.table, (Aggregate("count"),), where=spec.where)
        return self._with_dimension(base, dimension), self._by("count_by", spec, dimension)

    def change_total(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if self._grouped(spec) or spec.limit or spec.distinct:
            return None
        main = self.world.tables[spec.table].terms.measure
        measure = self.pieces.measure(spec.table, ("sum",), main or "")
        if measure is None or measure.name != "sum":
            return None
        both = self.rng.random() < 0.2
        shown = (Aggregate("count"), measure.expression) if both else (measure.expression,)
        return QuerySpec(spec.table, shown, where=spec.where), self.say("count_total" if both else "total")

    def change_measure(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Another measure in place of, or beside, the aggregate."""
        if not self._grouped(spec):
            return None
        places = [
            i
            for i, e in enumerate(spec.show)
            if isinstance(e, Aggregate) and not e.conditions and not e.table
        ]
        if len(places) != 1 or any(_aggregated(c) for c in spec.where) or spec.limit:
            return None
        measure = (
            self.pieces.count(spec.table) if self.rng.random() < 0.25 else self.pieces.measure(spec.table)
        )
        if measure is None or measure.expression in spec.show:
            return None
        noun = self.voice.measure_of(measure, ()) if measure.name == "count" else self.voice._bare(measure)
        index = places[0]
        if self.rng.random() < 0.3:
            return replace(spec, show=(*spec.show, measure.expression)), self.say("also_measure", m=noun)
        shown = (*spec.show[:index], measure.expression, *spec.show[index + 1 :])
        sort = tuple(
            SortKey(measure.expression, k.descending) if isinstance(k.expression, Aggregate) else k
            for k in spec.sort
        )
        return replace(spec, show=shown, sort=sort), self.say("other_measure", m=noun)

    # order and size

    def change_order(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if spec.limit or spec.distinct:
            return None
        if self._grouped(spec):
            keys = [e for e in spec.show if isinstance(e, Aggregate)]
            if not _dimensions(spec) or not keys:
                return None
            descending = self.rng.random() < 0.8
            order = Order(Measure(keys[-1].name, spec.table, keys[-1], *_argument(keys[-1])), descending)
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
        if not _dimensions(spec) or not keys or any(isinstance(e, DateBucket) for e in spec.show):
            return None
        if self.rng.random() < 0.25:
            return replace(spec, sort=(SortKey(keys[0], True),), limit=ONE), self.say("top_one")
        up = self.rng.random() < 0.88
        return replace(spec, sort=(SortKey(keys[0], up),), limit=mark), self.say(
            "top" if up else "bottom", n=n
        )

    # columns

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
            for d in _dimensions(spec)
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


def extension(
    rng: random.Random, world: World, lexicon: Lexicon, slots: SlotTable, year: int, spec: QuerySpec
) -> tuple[Condition, bool, str] | None:
    """(condition, whether it is said first, its words): a named parent or a period that a question lacks."""
    used = {(n.table, n.column) for n in walk(spec) if isinstance(n, ColumnRef)}
    if any(isinstance(n, (Subquery, Exists)) for n in walk(spec)):
        return None
    pieces = PlanSampler(rng, world, lexicon, slots, year)
    info = world.tables[spec.table]
    if info.date and not info.children and (spec.table, info.date) not in used and rng.random() < 0.5:
        cond = pieces.date(info.fields[info.date], "date")
        text = slots.mark(cond.marks[0])
        return (cond.node, True, f"{text}, ") if rng.random() < 0.2 else (cond.node, False, text)
    labels = [(p, world.tables[p].label) for p in info.parents if world.tables[p].label]
    free = [(p, label) for p, label in labels if label and not any(t == p for t, _ in used)]
    if not free:
        return None
    owner, label = rng.choice(free)
    named = pieces.name(owner, label, "one")
    if named is None:
        return None
    name = slots.mark(named.marks[0])
    if rng.random() < 0.5:
        lead = rng.choice((f"for {name}: ", f"{name}: ", f"on {name}, ", f"for {name}, ", f"{name} - "))
        return named.node, True, lead
    voice = Realizer(rng, lexicon, slots)
    return named.node, False, voice.posts(spec.table, (named,))


def _argument(aggregate: Aggregate) -> tuple[str, str]:
    argument = aggregate.argument
    return (argument.column, argument.table) if isinstance(argument, ColumnRef) else ("", "")


def _column_of(cond: Condition) -> ColumnRef | None:
    if isinstance(cond, Compare):
        return cond.left if isinstance(cond.left, ColumnRef) else None
    if isinstance(cond, (InDates, InList)):
        return cond.argument if isinstance(cond.argument, ColumnRef) else None
    return None


def _aggregated(node: Any) -> bool:
    return any(isinstance(n, Aggregate) for n in walk(node))


def _dimensions(spec: QuerySpec) -> list[Expr]:
    return [e for e in spec.show if isinstance(e, (ColumnRef, DateBucket))]
