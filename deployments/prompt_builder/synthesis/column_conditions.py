"""Sampling of conditions on one given column, each with the slots that it needs."""

import random

from deployments.prompt_builder.query_spec.nodes import (
    Between,
    ColumnRef,
    Compare,
    Comparison,
    Condition,
    Expr,
    InDates,
    InList,
    TextLiteral,
)
from deployments.prompt_builder.synthesis.plan import Cond, CondKind
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.slots import Slot, SlotTable
from deployments.prompt_builder.synthesis.surfaces import date_text, name_slot, number_slot
from deployments.prompt_builder.synthesis.world import Field, World

COMPARE: dict[str, tuple[CondKind, Comparison]] = {
    "more": ("more", ">"),
    "less": ("less", "<"),
    "at_least": ("at_least", ">="),
    "at_most": ("at_most", "<="),
    "equal": ("equal", "="),
}
_BEFORE = ("before {d}", "before {d}", "prior to {d}", "earlier than {d}", "until {d}", "up to {d}", "by {d}")
_AFTER = ("after {d}", "after {d}", "since {d}", "later than {d}", "from {d} on")


class ColumnConditions:
    """Draws what is said of a column. One instance per question: slots are numbered as they are drawn."""

    def __init__(
        self, rng: random.Random, world: World, lexicon: Lexicon, slots: SlotTable, year: int
    ) -> None:
        self.rng = rng
        self.world = world
        self.lexicon = lexicon
        self.slots = slots
        self.year = year

    def name(self, table: str, column: str, kind: str = "") -> Cond | None:
        """Equality with a stored name; sometimes two names, sometimes all but one."""
        field = self.world.tables[table].fields[column]
        if not field.values:
            return None
        chance = self.rng.random()
        if kind == "names" or (not kind and chance < 0.07 and len(field.values) > 1):
            values = self.rng.sample(field.values, 2)
            marks = tuple(self.slots.add(name_slot(self.rng, field, v)) for v in values)
            return Cond("names", table, column, InList(field.ref, marks), marks)
        mark = self.slots.add(name_slot(self.rng, field, self.rng.choice(field.values)))
        if not kind and chance > 0.96:
            return Cond("not_name", table, column, Compare("!=", field.ref, mark), (mark,))
        return Cond("name", table, column, Compare("=", field.ref, mark), (mark,))

    def word(self, table: str, column: str, value: str) -> Cond:
        ref = ColumnRef(table, column)
        return Cond("word", table, column, Compare("=", ref, TextLiteral(value)), words=(value,))

    def lookup(self, field: Field) -> Cond | None:
        if not field.values:
            return None
        chance = self.rng.random()
        if chance < 0.1 and len(field.values) > 2:
            values = tuple(
                sorted(self.rng.sample(field.values, 2 if chance < 0.085 else min(3, len(field.values) - 1)))
            )
            return Cond(
                "words",
                field.table,
                field.name,
                InList(field.ref, tuple(map(TextLiteral, values))),
                words=values,
            )
        value = self.rng.choice(field.values)
        if chance > 0.9:
            if chance > 0.975 and len(field.values) > 3:
                values = tuple(sorted(self.rng.sample(field.values, 2)))
                node: Condition = InList(field.ref, tuple(map(TextLiteral, values)), negated=True)
                return Cond("not_word", field.table, field.name, node, words=values)
            node = Compare("!=", field.ref, TextLiteral(value))
            return Cond("not_word", field.table, field.name, node, words=(value,))
        return self.word(field.table, field.name, value)

    def date_said(self, field: Field, text: str) -> Cond:
        mark = self.slots.add(Slot("D", text))
        return Cond("date", field.table, field.name, InDates(field.ref, mark), (mark,))

    def date(self, field: Field, kind: str = "") -> Cond:
        chance = self.rng.random()
        main = self.world.tables[field.table].date == field.name
        if kind == "date" or (not kind and chance < 0.84):
            text = date_text(self.rng, "past" if main or self.rng.random() < 0.4 else "future", self.year)
            said: CondKind = "date"
        elif main and chance < 0.88:
            said = "before"
            text = date_text(self.rng, "aged", self.year)
        else:
            said = "before" if chance < 0.95 else "after"
            forms = _BEFORE if said == "before" else _AFTER
            text = self.rng.choice(forms).replace("{d}", date_text(self.rng, "point", self.year))
        mark = self.slots.add(Slot("D", text))
        return Cond(said, field.table, field.name, InDates(field.ref, mark), (mark,))

    def numbers(self, table: str) -> tuple[tuple[str, Expr, str, str | None], ...]:
        """(name, expression, semantic, unit) of everything on a row that can be compared with a number."""
        info = self.world.tables[table]
        found: list[tuple[str, Expr, str, str | None]] = [
            (f.name, f.ref, *self.lexicon.semantic(table, f.name)) for f in info.of_role("measure")
        ]
        found += [(d.name, ColumnRef(table, d.name), d.semantic or "number", None) for d in info.values]
        return tuple(found)

    def amount(self, table: str, chosen: tuple[str, Expr, str, str | None]) -> Cond:
        name, ref, semantic, unit = chosen
        if self.rng.random() < 0.12:
            drawn = {s.value: s for s in (number_slot(self.rng, semantic, unit) for _ in range(8))}
            slots = sorted(list(drawn.values())[:2], key=lambda s: float(s.value))
            # Where few numbers are usual, all draws may be one and the same, which bounds nothing.
            if len(slots) == 2:
                low, high = (self.slots.add(s) for s in slots)
                return Cond("between", table, name, Between(ref, low, high), (low, high))
        key = self.rng.choice(("more", "more", "more", "less", "less", "at_least", "at_most", "equal"))
        if key == "equal" and self.rng.random() < 0.6:
            key = "more"
        kind, operator = COMPARE[key]
        mark = self.slots.add(number_slot(self.rng, semantic, unit))
        return Cond(kind, table, name, Compare(operator, ref, mark), (mark,))
