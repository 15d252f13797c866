"""From a plan to a training pair: sample, say, type, link, align."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.house.form import Meaning, join_links, prompt_form
from deployments.prompt_builder.linking.linker import LinkedQuestion, Linker
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.nodes import Cannot, Placeholder, QuerySpec
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.alignment import Mismatch, align, renamed
from deployments.prompt_builder.synthesis.followups import Change, FollowUps, extension
from deployments.prompt_builder.synthesis.phrases import load_phrases
from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.realizer.noise import typed
from deployments.prompt_builder.synthesis.realizer.sentences import Realizer
from deployments.prompt_builder.synthesis.sampler import PlanSampler
from deployments.prompt_builder.synthesis.schema_file import load_schema
from deployments.prompt_builder.synthesis.slots import SlotTable, extract
from deployments.prompt_builder.synthesis.unanswerable import request
from deployments.prompt_builder.synthesis.world import build_world
from deployments.prompt_builder.synthesis.writers import PhrasingLibrary, Turn, earlier
from serve_app.contracts import Link, SchemaSnapshot
from serve_app.paths import PROJECT_ROOT

_CHANGE_TRIES = 6
_EXTENDED = 0.15
MIXTURE_FILE = PROJECT_ROOT / "configs" / "models" / "house" / "mixture.yaml"


@dataclass(frozen=True, slots=True)
class Example:
    """One synthesized question with its meaning, in the linker's placeholders.

    A follow-up has the meaning of the question before (``previous``) and its words (``before``).
    """

    kind: str
    question: str
    linked: LinkedQuestion
    spec: QuerySpec | Cannot
    previous: Meaning | None = None
    before: str | None = None


@dataclass(slots=True)
class Tally:
    """What was drawn and why it was dropped."""

    drawn: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)


def read_mixture(path: Path) -> dict[str, Any]:
    """Weights of sources (by phase of the curriculum), shapes and follow-ups."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


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
        self.context = SpecContext(self.schema, self.pack)
        self.tally = Tally()

    @cached_property
    def mixture(self) -> dict[str, Any]:
        """The pack's own mixture, if its folder holds one."""
        own = self.folder / MIXTURE_FILE.name
        return read_mixture(own if own.is_file() else MIXTURE_FILE)

    @cached_property
    def _shapes(self) -> tuple[list[str], list[float]]:
        shapes = self.mixture["shapes"]
        return list(shapes), [float(w) for w in shapes.values()]

    @cached_property
    def library(self) -> PhrasingLibrary:
        return PhrasingLibrary(
            self.folder, self.linker, self.lexicon, self.context, self.today, self.without_writers
        )

    def draw(self, rng: random.Random, index: int = 0) -> Example | None:
        """One example, or None where the draw came to nothing (counted in `tally`).

        ``index``: the example's place in the stream, which decides the phase of the curriculum.
        """
        sources = self._sources(index)
        source = rng.choices(list(sources), list(sources.values()))[0]
        if source == "writers":
            return self.writer(rng)
        if source == "conversations":
            return self.conversation(rng)
        if source == "followups":
            return self.follow_up(rng)
        if source == "unanswerable":
            return self.unanswerable(rng)
        names, weights = self._shapes
        return self.shape(rng, rng.choices(names, weights)[0])

    def _sources(self, index: int) -> dict[str, float]:
        phases = self.mixture["curriculum"]
        phase = next((p for p in phases if "until" in p and index < p["until"]), phases[-1])
        sources: dict[str, float] = phase["sources"]
        return sources

    def writer(self, rng: random.Random) -> Example | None:
        """A varied question by a person."""
        if not self.library.singles:
            return None
        phrasing = rng.choice(self.library.singles)
        turn = self.library.varied(rng, phrasing.turns[0])
        if turn is None:
            return self._drop("writers", "links otherwise")
        self.tally.drawn["writers"] += 1
        if rng.random() < _EXTENDED and isinstance(turn.spec, QuerySpec):
            extended = self._extended(rng, turn)
            if extended is not None:
                return extended
        return Example("writers", turn.question, turn.linked, turn.spec)

    def _extended(self, rng: random.Random, turn: Turn) -> Example | None:
        """The question with one more condition before or behind it: "For Riverside: …", "… last month"."""
        spec = turn.spec
        assert isinstance(spec, QuerySpec)
        slots = SlotTable()
        found = extension(rng, self.world, self.lexicon, slots, self.today.year, spec)
        if found is None:
            return None
        node, before, text = found
        plain = turn.question.rstrip("?.! ")
        said = extract(f"{text}{plain[:1].lower()}{plain[1:]}" if before else f"{plain} {text}")
        linked = self.linker.link(said.text, self.today)
        own = align(QuerySpec(spec.table, where=(node,)), slots.slots, said, linked.links)
        if isinstance(own, Mismatch):
            return None
        rest = [k for k in linked.links if k.placeholder not in own.values()]
        old = turn.linked.links
        if [k.placeholder[0] for k in rest] != [k.placeholder[0] for k in old]:
            return None
        names = {f"P{a.placeholder}": b.placeholder for a, b in zip(old, rest, strict=True)}
        apart = _set_apart(spec)
        wider = renamed(replace(apart, where=(*apart.where, node)), {**names, **own})
        return Example("writers", said.text, linked, wider)

    def conversation(self, rng: random.Random) -> Example | None:
        """One turn of a person's conversation, with the meaning before it."""
        if not self.library.conversations:
            return None
        turns = rng.choice(self.library.conversations).turns
        varied = [self.library.varied(rng, t, words=False) or t for t in turns]
        index = rng.randrange(1, len(varied))
        meaning: Meaning | None = None
        for turn in varied[:index]:
            meaning = self._meaning(turn, varied, meaning)
            if meaning is None:
                return self._drop("conversations", "earlier turn")
        found = self._meaning(varied[index], varied, meaning)
        if found is None or meaning is None:
            return self._drop("conversations", "refers too far back")
        self.tally.drawn["conversations"] += 1
        turn = varied[index]
        before = varied[index - 1].question
        return Example("conversations", turn.question, turn.linked, found.spec, meaning, before)

    def _meaning(self, turn: Turn, turns: list[Turn], previous: Meaning | None) -> Meaning | None:
        """The turn's meaning in the placeholders of its prompt; None where it refers to what the prompt
        lacks.
        """
        if not isinstance(turn.spec, QuerySpec):
            return None
        form = prompt_form(turn.linked, previous, self.context)
        names: dict[str, str] = {}
        for node in walk(turn.spec):
            if not isinstance(node, Placeholder):
                continue
            names[node.name] = node.name
            back = earlier(node.name)
            if back is None:
                continue
            then = next((k for k in turns[back[0]].linked.links if k.placeholder == back[1]), None)
            now = next((k for k in form.links if then is not None and same_thing(k, then)), None)
            if now is None:
                return None
            names[node.name] = now.placeholder
        return Meaning(renamed(turn.spec, names), form.links)

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
        names = align(plan.spec, slots.slots, extracted, linked.links)
        if isinstance(names, Mismatch):
            return self._drop(kind, f"{names.kind} {names.reason}")
        self.tally.drawn[kind] += 1
        return Example(kind, extracted.text, linked, renamed(plan.spec, names))

    def _first(self, rng: random.Random) -> Example | None:
        """A question that a follow-up can refer to."""
        if rng.random() < 0.15 and self.library.singles:
            return self.writer(rng)
        shapes = self.mixture["first_turns"]
        return self.shape(rng, rng.choices(list(shapes), list(shapes.values()))[0])

    def follow_up(self, rng: random.Random) -> Example | None:
        """A short turn after another question; now and then a full question that ignores it."""
        first = self._first(rng)
        if first is None or not isinstance(first.spec, QuerySpec):
            return None
        previous = Meaning(first.spec, first.linked.links)
        kinds = self.mixture["followups"]
        slots = SlotTable()
        changes = FollowUps(rng, self.world, self.lexicon, slots, self.today.year)
        before = _set_apart(first.spec)
        for _ in range(_CHANGE_TRIES):
            kind = rng.choices(list(kinds), list(kinds.values()))[0]
            if kind == "unrelated":
                return _after(first, self._unrelated(rng, previous))
            found = changes.change(before, kind)
            if found is not None:
                return _after(first, self._turn(rng, found, slots, previous))
        return self._drop("then", "no change")

    def _turn(self, rng: random.Random, found: Change, slots: SlotTable, previous: Meaning) -> Example | None:
        kind = found.kind
        extracted = extract(typed(rng, found.text))
        linked = self.linker.link(extracted.text, self.today)
        names = align(found.spec, slots.slots, extracted, linked.links)
        joined = join_links(linked.links, previous)
        if isinstance(names, Mismatch):
            return self._drop(f"then {kind}", f"{names.kind} {names.reason}")
        if joined is None:
            return self._drop(f"then {kind}", "too many links")
        self.tally.drawn[f"then {kind}"] += 1
        names.update({f"P{old}": new for old, new in joined[0].items()})
        return Example(f"then {kind}", extracted.text, linked, renamed(found.spec, names), previous)

    def _unrelated(self, rng: random.Random, previous: Meaning) -> Example | None:
        second = self.draw_single(rng)
        if second is None:
            return None
        return Example("then unrelated", second.question, second.linked, second.spec, previous)

    def unanswerable(self, rng: random.Random) -> Example | None:
        """A request that the data cannot answer, sometimes after a question that it could."""
        question = typed(rng, request(rng, self.lexicon, self.folder, self.today.year))
        linked = self.linker.link(question, self.today)
        self.tally.drawn["cannot"] += 1
        first = self._first(rng) if rng.random() < 0.15 else None
        if first is not None and isinstance(first.spec, QuerySpec):
            meaning = Meaning(first.spec, first.linked.links)
            return Example("cannot", question, linked, Cannot(), meaning, first.question)
        return Example("cannot", question, linked, Cannot())

    def draw_single(self, rng: random.Random) -> Example | None:
        """A question that stands alone."""
        if rng.random() < 0.2:
            return self.writer(rng)
        names, weights = self._shapes
        return self.shape(rng, rng.choices(names, weights)[0])

    def _drop(self, kind: str, reason: str) -> Example | None:
        self.tally.drawn[kind] += 1
        self.tally.dropped[kind, reason] += 1
        return None


def _after(first: Example, turn: Example | None) -> Example | None:
    return None if turn is None else replace(turn, before=first.question)


def same_thing(first: Link, second: Link) -> bool:
    """Whether two links stand for the same value."""
    if first.placeholder[0] != second.placeholder[0]:
        return False
    return (first.candidates, first.number, first.dates) == (second.candidates, second.number, second.dates)


def _set_apart(spec: QuerySpec) -> QuerySpec:
    """The meaning before with its placeholders called PV0, PD0 …"""
    used = {node.name for node in walk(spec) if isinstance(node, Placeholder)}
    return renamed(spec, {name: f"P{name}" for name in used})
