"""What all turns share: the voice, the pieces, and questions about a specification."""

import random
from typing import Any

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    Compare,
    Condition,
    DateBucket,
    Expr,
    InDates,
    InList,
    QuerySpec,
)
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Cond, Dimension
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.realizer.sentences import Realizer
from deployments.prompt_builder.synthesis.sampler import PlanSampler
from deployments.prompt_builder.synthesis.slots import SlotTable
from deployments.prompt_builder.synthesis.world import World


class TurnBase:
    """Sampling and speaking for one turn; made per turn, for the turn's slots."""

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

    def _dimension(self, spec: QuerySpec) -> Dimension | None:
        if self.rng.random() < 0.25 and (bucket := self.pieces.bucket(spec.table)):
            return bucket
        fixed = {column_of(c) for c in spec.where if isinstance(c, Compare) and c.operator == "="}
        options = [
            d
            for d in self.pieces.dimensions(spec.table)
            if d.expression not in fixed and d.expression not in spec.show
        ]
        return self.rng.choice(options) if options else None

    def _by(self, key: str, spec: QuerySpec, dimension: Dimension) -> str:
        singular, plural = self.voice.dimension(dimension, spec.table)
        return self.say(key, by=self.voice.by((dimension,), spec.table), dim=singular, dims=plural)

    def _fresh(self, spec: QuerySpec) -> Cond | None:
        """A condition on a column that the meaning does not use yet."""
        taken = frozenset(f"{n.table}.{n.column}" for n in walk(spec) if isinstance(n, ColumnRef))
        found = self.pieces.conditions(spec.table, 1, taken, rich=self.rng.random() < 0.2)
        return found[0] if found else None


def argument_of(aggregate: Aggregate) -> tuple[str, str]:
    argument = aggregate.argument
    return (argument.column, argument.table) if isinstance(argument, ColumnRef) else ("", "")


def column_of(cond: Condition) -> ColumnRef | None:
    if isinstance(cond, Compare):
        return cond.left if isinstance(cond.left, ColumnRef) else None
    if isinstance(cond, (InDates, InList)):
        return cond.argument if isinstance(cond.argument, ColumnRef) else None
    return None


def is_aggregated(node: Any) -> bool:
    return any(isinstance(n, Aggregate) for n in walk(node))


def dimensions_of(spec: QuerySpec) -> list[Expr]:
    return [e for e in spec.show if isinstance(e, (ColumnRef, DateBucket))]
