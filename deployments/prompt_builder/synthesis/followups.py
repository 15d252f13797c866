"""Follow-up turns: a short turn changes the meaning before it into a new one.

Every change works on any specification, whoever wrote it. A placeholder of the meaning before is called
``P…`` while the turn is made, so that it stays apart from the turn's own slots.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from deployments.prompt_builder.query_spec.nodes import (
    ColumnRef,
    Condition,
    Exists,
    QuerySpec,
    Subquery,
)
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.realizer.sentences import Realizer
from deployments.prompt_builder.synthesis.sampler import PlanSampler
from deployments.prompt_builder.synthesis.slots import SlotTable
from deployments.prompt_builder.synthesis.turns.views import ViewTurns
from deployments.prompt_builder.synthesis.world import World


@dataclass(frozen=True, slots=True)
class Change:
    """A new meaning and the turn that asks for it (with slot marks)."""

    kind: str
    spec: QuerySpec
    text: str


class FollowUps(ViewTurns):
    """One method ``change_…`` per kind of turn; each returns None where the meaning cannot take it."""

    def change(self, spec: QuerySpec, kind: str) -> Change | None:
        method: Callable[[QuerySpec], tuple[QuerySpec, str] | None] = getattr(self, f"change_{kind}")
        self.slots.slots.clear()
        self.voice.root = spec.table
        found = method(spec)
        return None if found is None or found[0] == spec else Change(kind, found[0], found[1])


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
    voice.root = spec.table
    return named.node, False, voice.posts(spec.table, (named,))
