"""Natural phrasings: questions by people with their meaning, varied in names, amounts, dates and words of
lookups.

A phrasing is linked like any question; a variation is kept only if it links the same way as the original.
"""

import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from deployments.prompt_builder.house.form import renamed
from deployments.prompt_builder.linking.linker import LinkedQuestion, Linker
from deployments.prompt_builder.query_spec import tokens
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import (
    Cannot,
    ColumnRef,
    Compare,
    InList,
    Placeholder,
    QuerySpec,
    TextLiteral,
)
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.walk import rebuild, walk
from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon, plural_of
from deployments.prompt_builder.synthesis.realizer.noise import retyped
from deployments.prompt_builder.synthesis.surfaces import name_slot
from deployments.prompt_builder.synthesis.world import Field
from serve_app.contracts import Link

_NUMERAL = re.compile(r"\d[\d,]*(?:\.\d+)?")
_EARLIER = re.compile(r"\b([VND])(\d+)@(\d+)")
_EARLIER_STEP = 100
_YEAR = re.compile(r"\b20\d\d\b")
_COUNT_OF = re.compile(r"\b(\d{1,3})(?= (?:days?|weeks?|months?|years?)\b)")
_PERIOD = re.compile(r"\b(week|month|quarter|year)\b", re.IGNORECASE)
# Behind these words a lookup word is a verb ("have paid"), which another value's word would not be.
_VERB_CONTEXTS = [
    ["have"],
    ["has"],
    ["had"],
    ["we"],
    ["they"],
    ["actually"],
    ["been"],
    ["got"],
    ["get"],
    ["being"],
]
_PERIODS = ("week", "month", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a phrasing. Placeholders of earlier turns are numbered from 100 × (turn + 1)."""

    question: str
    spec: QuerySpec | Cannot
    linked: LinkedQuestion


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A question, or the turns of a conversation."""

    writer: str
    turns: tuple[Turn, ...]


@dataclass(slots=True)
class PhrasingReport:
    """What was read and what was left out, by writer and reason."""

    read: Counter[str] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    absent: set[str] = field(default_factory=set)
    """Writers who were asked to be left out and are in the pack."""


class PhrasingLibrary:
    """The phrasings of a pack folder, checked against the linker and the schema."""

    def __init__(
        self,
        folder: Path,
        linker: Linker,
        lexicon: Lexicon,
        context: SpecContext,
        today: date,
        without: frozenset[str],
    ) -> None:
        self._linker = linker
        self._lexicon = lexicon
        self._context = context
        self._today = today
        self.report = PhrasingReport()
        self.singles: list[Phrasing] = []
        self.conversations: list[Phrasing] = []
        for path in sorted((folder / "phrasings").glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                writer = row.get("writer") or path.stem
                if writer in without:
                    self.report.absent.add(writer)
                else:
                    self._read(writer, row)

    def _read(self, writer: str, row: dict[str, object]) -> None:
        rows = row.get("turns") or [row]
        assert isinstance(rows, list)
        self.report.read[writer] += 1
        turns: list[Turn] = []
        for raw in rows:
            turn = self._turn(str(raw["question"]), str(raw["spec"]))
            if isinstance(turn, str):
                self.report.left_out[writer, turn] += 1
                break
            turns.append(turn)
        if len(rows) == 1 and turns:
            self.singles.append(Phrasing(writer, tuple(turns)))
        elif len(turns) > 1:
            self.conversations.append(Phrasing(writer, tuple(turns)))

    def _turn(self, question: str, text: str) -> Turn | str:
        numbered = _EARLIER.sub(lambda m: f"{m[1]}{_EARLIER_STEP * (int(m[3]) + 1) + int(m[2])}", text)
        try:
            spec = parse(numbered, self._context)
            tokens.encode(renamed(spec, _within_vocabulary(spec)), self._context)
        except SpecError as error:
            return f"spec: {str(error)[:50]}"
        linked = self._linker.link(question, self._today)
        known = {link.placeholder for link in linked.links}
        used = {n.name for n in walk(spec) if isinstance(n, Placeholder) and int(n.name[1:]) < _EARLIER_STEP}
        return Turn(question, spec, linked) if used <= known else "placeholders not linked"

    def varied(self, rng: random.Random, turn: Turn, words: bool = True) -> Turn | None:
        """The turn with other values; None where the variation would not link the same way."""
        question = turn.question
        spec = turn.spec
        if words and isinstance(spec, QuerySpec) and rng.random() < 0.4:
            question, spec = self._other_word(rng, question, spec, turn.linked.links)
        if question == turn.question:
            for link in reversed(turn.linked.links):
                if rng.random() < 0.75:
                    start, end = link.span
                    question = question[:start] + self._other_value(rng, link) + question[end:]
        if rng.random() < 0.3:
            question = self._other_noun(rng, question)
        question = retyped(rng, question)
        if question == turn.question:
            return turn
        linked = self._linker.link(question, self._today)
        return Turn(question, spec, linked) if _alike(turn.linked.links, linked.links) else None

    def _other_noun(self, rng: random.Random, question: str) -> str:
        """Another one-word noun for a table whose rows have names: "jobs" for "projects"."""
        for info in self._lexicon.world.tables.values():
            nouns = [t for t in info.terms.terms if t.isalpha()] if info.label and info.parents else []
            for noun in rng.sample(nouns, len(nouns)):
                match = re.search(rf"\b{noun}(s?)\b", question, re.IGNORECASE)
                if match and match[0][0].islower():
                    other = rng.choice(nouns)
                    return question[: match.start()] + other + match[1] + question[match.end() :]
        return question

    def _other_value(self, rng: random.Random, link: Link) -> str:
        if link.placeholder[0] == "V":
            return self._other_name(rng, link)
        if link.placeholder[0] == "N":
            return _other_number(rng, link)
        return _other_date(rng, link.text)

    def _other_name(self, rng: random.Random, link: Link) -> str:
        columns = {(c.table, c.column) for c in link.candidates}
        if len(columns) != 1:
            return link.text
        column = self._lexicon.world.field(*next(iter(columns)))
        if column is None or not column.values:
            return link.text
        surface = name_slot(rng, column, rng.choice(column.values)).surface
        if link.text.islower():
            surface = surface.lower()
        return (
            plural_of(surface)
            if link.text.endswith("s") and not surface.endswith("s") and surface.islower()
            else surface
        )

    def _other_word(
        self, rng: random.Random, question: str, spec: QuerySpec, links: tuple[Link, ...]
    ) -> tuple[str, QuerySpec]:
        """Swap one lookup word for another of its column, in question and specification."""
        places = _lookups(spec)
        for column_ref, literal in rng.sample(places, len(places)):
            column = self._lexicon.world.field(column_ref.table, column_ref.column)
            if column is None or sum(other.value == literal.value for _, other in places) > 1:
                continue
            found = self._said(question, column, literal.value, links)
            said = {other.value for _, other in places}
            others = [v for v in column.values if v not in said]
            if found is None or not others:
                continue
            value = rng.choice(others)
            word = self._lexicon.words(column.table, column.name, value)[0]
            start, end, plural = found
            swapped = question[:start] + (plural_of(word) if plural else word) + question[end:]
            return swapped, _with_literal(spec, literal.value, value)
        return question, spec

    def _said(
        self, question: str, column: Field, value: str, links: tuple[Link, ...]
    ) -> tuple[int, int, bool] | None:
        """Where the word of a lookup value stands, if it does exactly once: (start, end, plural)."""
        low = question.lower()
        for word in self._lexicon.words(column.table, column.name, value):
            hits = [m for m in re.finditer(rf"\b{re.escape(word.lower())}(s?)\b", low)]
            verb = len(hits) == 1 and low[: hits[0].start()].split()[-1:] in _VERB_CONTEXTS
            if (
                len(hits) == 1
                and not verb
                and not any(k.span[0] < hits[0].end() and hits[0].start() < k.span[1] for k in links)
            ):
                return hits[0].start(), hits[0].end(), bool(hits[0][1])
        return None


def _lookups(spec: QuerySpec) -> list[tuple[ColumnRef, TextLiteral]]:
    """Every lookup word of a specification with its column."""
    found: list[tuple[ColumnRef, TextLiteral]] = []
    for node in walk(spec):
        if (
            isinstance(node, Compare)
            and isinstance(node.left, ColumnRef)
            and isinstance(node.right, TextLiteral)
        ):
            found.append((node.left, node.right))
        elif isinstance(node, InList) and isinstance(node.argument, ColumnRef):
            found += [(node.argument, v) for v in node.values if isinstance(v, TextLiteral)]
    return found


def _within_vocabulary(spec: QuerySpec | Cannot) -> dict[str, str]:
    """Names that the vocabulary has for the placeholders of earlier turns."""
    names = {node.name for node in walk(spec) if isinstance(node, Placeholder)}
    return {name: f"{name[0]}{int(name[1:]) % _EARLIER_STEP}" for name in names}


def earlier(name: str) -> tuple[int, str] | None:
    """(turn, placeholder) of a placeholder that belongs to an earlier turn."""
    number = int(name[1:])
    return (
        (number // _EARLIER_STEP - 1, f"{name[0]}{number % _EARLIER_STEP}")
        if number >= _EARLIER_STEP
        else None
    )


def _with_literal(spec: QuerySpec, old: str, new: str) -> QuerySpec:
    def change(node: Any) -> Any:
        return TextLiteral(new) if node == TextLiteral(old) else rebuild(node, change)

    return rebuild(spec, change)


def _alike(first: tuple[Link, ...], second: tuple[Link, ...]) -> bool:
    """Same placeholders in the same order, of the same columns."""
    if [k.placeholder for k in first] != [k.placeholder for k in second]:
        return False
    return all(
        {(c.table, c.column) for c in a.candidates} <= {(c.table, c.column) for c in b.candidates}
        and len(a.text.split()) <= len(b.text.split()) + 2
        for a, b in zip(first, second, strict=True)
    )


def _other_number(rng: random.Random, link: Link) -> str:
    match = _NUMERAL.search(link.text)
    if match is None:
        return link.text
    old = float(match[0].replace(",", ""))
    if link.unit == "percent":
        new = float(rng.choice((5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90)))
    elif old <= 31 and old == int(old):
        new = float(rng.randint(2, 20))
    else:
        new = old * rng.choice((0.2, 0.5, 0.6, 1.5, 2, 3, 4, 5))
        new = round(new) if old == int(old) else round(new, 2)
    text = (
        f"{new:,.2f}".rstrip("0").rstrip(".")
        if "," in match[0]
        else f"{new:g}"
        if new < 1e6
        else str(int(new))
    )
    return link.text[: match.start()] + text + link.text[match.end() :]


def _other_date(rng: random.Random, text: str) -> str:
    """Other months, years, counts and periods in the same wording."""
    months = english("dates")["months"]
    for month in months:
        for form in (month, month[:3]):
            if re.search(rf"\b{form}\b", text, re.IGNORECASE):
                other = rng.choice(months)
                text = re.sub(
                    rf"\b{form}\b", other if form == month else other[:3], text, flags=re.IGNORECASE
                )
                return _YEAR.sub(lambda m: str(int(m[0]) - rng.choice((0, 0, 1))), text)
    if _YEAR.search(text):
        return _YEAR.sub(lambda m: str(rng.choice((2024, 2025, 2025, 2026))), text, count=1)
    if _COUNT_OF.search(text):
        return _COUNT_OF.sub(lambda m: str(rng.choice((3, 5, 7, 10, 14, 30, 45, 60, 90, 120, 180))), text)
    if re.search(r"\b(last|this|past|next|previous)\b", text, re.IGNORECASE):
        return _PERIOD.sub(lambda m: rng.choice(_PERIODS), text)
    return text
