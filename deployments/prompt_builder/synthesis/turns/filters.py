"""Turns that change which rows count."""

from dataclasses import replace

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    Compare,
    Condition,
    InDates,
    InList,
    Placeholder,
    QuerySpec,
    TextLiteral,
)
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.plan import Cond
from deployments.prompt_builder.synthesis.slots import Slot
from deployments.prompt_builder.synthesis.surfaces import date_text, name_slot, number_slot
from deployments.prompt_builder.synthesis.turns.base import TurnBase, column_of


class FilterTurns(TurnBase):
    """Adds, swaps and drops conditions."""

    def change_filter(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        cond = self._fresh(spec)
        if cond is None:
            return None
        text = self._only(spec, cond)
        return replace(spec, where=(*spec.where, cond.node)), text

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
        column = column_of(cond)
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
