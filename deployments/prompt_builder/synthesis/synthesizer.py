"""From a plan to a training pair: sample, say, type, link, align."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.linking.linker import LinkedQuestion, Linker
from deployments.prompt_builder.query_spec.nodes import Cannot, QuerySpec
from deployments.prompt_builder.synthesis.alignment import Mismatch, align, renamed
from deployments.prompt_builder.synthesis.phrases import load_phrases
from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.realizer.noise import typed
from deployments.prompt_builder.synthesis.realizer.sentences import Realizer
from deployments.prompt_builder.synthesis.sampler import PlanSampler
from deployments.prompt_builder.synthesis.schema_file import load_schema
from deployments.prompt_builder.synthesis.slots import SlotTable, extract
from deployments.prompt_builder.synthesis.world import build_world
from serve_app.contracts import Link, SchemaSnapshot

MIXTURE_FILE = Path(__file__).parent / "mixture.yaml"


@dataclass(frozen=True, slots=True)
class Example:
    """One synthesized question with its meaning, in the linker's placeholders."""

    kind: str
    question: str
    linked: LinkedQuestion
    spec: QuerySpec | Cannot
    previous: QuerySpec | None = None
    previous_links: tuple[Link, ...] = ()


@dataclass(slots=True)
class Tally:
    """What was drawn and why it was dropped."""

    drawn: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)


class Synthesizer:
    """Draws examples from a schema and a domain pack folder; needs no database."""

    def __init__(
        self,
        folder: Path,
        schema: SchemaSnapshot | None = None,
        pack: DomainPack | None = None,
        today: date = date(2026, 11, 20),
        without_writers: frozenset[str] = frozenset(),
    ) -> None:
        self.folder = folder
        self.schema = schema or load_schema(folder)
        self.pack = pack or load_domain(folder)
        self.today = today
        self.without_writers = without_writers
        self.world = build_world(self.schema, self.pack)
        self.lexicon = Lexicon(self.world, load_phrases(folder))
        self.linker = Linker(self.schema, self.pack)
        self.tally = Tally()

    @cached_property
    def mixture(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(MIXTURE_FILE.read_text(encoding="utf-8"))
        return found

    @cached_property
    def _shapes(self) -> tuple[list[str], list[float]]:
        shapes = self.mixture["shapes"]
        return list(shapes), [float(w) for w in shapes.values()]

    def draw(self, rng: random.Random) -> Example | None:
        """One example, or None where the draw came to nothing (counted in `tally`)."""
        names, weights = self._shapes
        return self.shape(rng, rng.choices(names, weights)[0])

    def shape(self, rng: random.Random, shape: str) -> Example | None:
        slots = SlotTable()
        plan = PlanSampler(rng, self.world, self.lexicon, slots, self.today.year).sample(shape)
        if plan is None:
            return self._drop(shape, "no plan")
        text = Realizer(rng, self.lexicon, slots).realize(plan)
        if text is None:
            return self._drop(shape, "no words")
        return self.finish(rng, shape, text, plan, slots)

    def finish(
        self, rng: random.Random, kind: str, text: str, plan: Plan, slots: SlotTable
    ) -> Example | None:
        extracted = extract(typed(rng, text))
        linked = self.linker.link(extracted.text, self.today)
        names = align(slots.slots, extracted, linked.links)
        if isinstance(names, Mismatch):
            return self._drop(kind, f"{names.kind} {names.reason}")
        self.tally.drawn[kind] += 1
        return Example(kind, extracted.text, linked, renamed(plan.spec, names))

    def _drop(self, kind: str, reason: str) -> None:
        self.tally.drawn[kind] += 1
        self.tally.dropped[kind, reason] += 1
