"""Answers to questions of the shape of a verified one: its statement with the question's own values."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from deployments.prompt_builder.house.form import Meaning, renamed, used_placeholders
from deployments.prompt_builder.house.memory import dump_meaning, load_meaning
from deployments.prompt_builder.linking.english import English, load_english
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.schema_fit import fitting_examples
from deployments.prompt_builder.verified.date_values import is_absolute, range_signature
from deployments.prompt_builder.verified.shape import Shape, same_meaning, shape_of
from deployments.prompt_builder.verified.template import SqlTemplate, make_template
from serve_app.contracts import Link, Proposal, SqlCandidate

# A match that leaves out words of courtesy and grammar is a little less sure than one word by word.
NEAR_CONFIDENCE = 0.95

# The engine of such answers, as metadata and metrics tell it.
ENGINE = "verified"

_YEAR = re.compile(r"\b(19|20)\d\d\b")


@dataclass(frozen=True, slots=True)
class _Pair:
    """An example with what its question says."""

    example: Example
    asked_on: date
    links: tuple[Link, ...]


class VerifiedMatcher:
    """Verified examples over one schema, by the shapes of their questions.

    Of several examples with one shape the first counts, even if it cannot be filled: what it was put in front
    of may be what it corrects.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        linker: Linker,
        context: SpecContext,
        today: date,
        english: English | None = None,
    ) -> None:
        """``today`` is the day as of which examples without one of their own are read."""
        self._linker = linker
        self._context = context
        self._english = english or load_english()
        self._exact: defaultdict[str, list[_Pair]] = defaultdict(list)
        self._near: defaultdict[str, list[_Pair]] = defaultdict(list)
        self._templates: dict[str, SqlTemplate | None] = {}
        for example in fitting_examples(examples, context.schema):
            asked_on = example.asked_on or today
            linked = linker.link(example.question, asked_on)
            shape = shape_of(linked.text, self._english)
            pair = _Pair(example, asked_on, linked.links)
            self._exact[shape.exact].append(pair)
            if shape.near is not None:
                self._near[shape.near].append(pair)

    def match(
        self, question: str, today: date, organization_id: str | None = None, exact_only: bool = False
    ) -> Proposal | None:
        """The statement of the verified example with the question's shape, its slots filled; None if unsure.

        ``confidence`` is 1 for a question word by word, less for a near-exact one and for values that the
        linker is less sure of.
        """
        linked = self._linker.link(question, today)
        shape = shape_of(linked.text, self._english)
        pair, confidence = self._pair(shape, organization_id, exact_only)
        candidate = self._candidate(pair, linked.links) if pair is not None else None
        if pair is None or candidate is None:
            return None
        scores = [link.candidates[0].score for link in linked.links if link.candidates]
        return Proposal(
            candidate=candidate,
            confidence=round(confidence * min(scores, default=1.0), 4),
            engine=ENGINE,
            source=pair.example.id,
        )

    def _pair(
        self, shape: Shape, organization_id: str | None, exact_only: bool
    ) -> tuple[_Pair | None, float]:
        found = [(pair, 1.0) for pair in self._exact.get(shape.exact, ())]
        if shape.near is not None and not exact_only:
            found += [(pair, NEAR_CONFIDENCE) for pair in self._near.get(shape.near, ())]
        seen = ((pair, sure) for pair, sure in found if pair.example.visible_to(organization_id))
        return next(seen, (None, 0.0))

    def _candidate(self, pair: _Pair, links: tuple[Link, ...]) -> SqlCandidate | None:
        spec = self._spec(pair)
        if spec is not None:
            return self._compiled(spec, links)
        sql = self._same_question(pair, links) or self._filled(pair, links)
        return SqlCandidate(sql=sql) if sql is not None else None

    def _spec(self, pair: _Pair) -> QuerySpec | None:
        """The pair's query specification, if its placeholders are all those of the question."""
        text = pair.example.query_spec
        if text is None:
            return None
        spec = self._kept(text, pair.links) if text.startswith("{") else self._written(text)
        said = {link.placeholder for link in pair.links}
        return spec if spec is not None and set(used_placeholders(spec)) == said else None

    def _written(self, text: str) -> QuerySpec | None:
        """A specification in its text form, with the placeholders that the linker gives its question."""
        try:
            spec = parse(text, self._context)
        except SpecError:
            return None
        return spec if isinstance(spec, QuerySpec) else None

    def _kept(self, text: str, links: tuple[Link, ...]) -> QuerySpec | None:
        """A specification as conversations keep it, its links found again by their places in the question."""
        meaning = load_meaning(text, self._context)
        if meaning is None:
            return None
        places = {link.span: link.placeholder for link in links}
        if any(link.span not in places for link in meaning.links):
            return None
        return renamed(meaning.spec, {link.placeholder: places[link.span] for link in meaning.links})

    def _compiled(self, spec: QuerySpec, links: tuple[Link, ...]) -> SqlCandidate | None:
        if any(_is_ambiguous(link) for link in links):
            return None
        try:
            sql = compile_spec(spec, links, self._context)
        except SpecError:
            return None
        return SqlCandidate(sql=sql, query_spec=dump_meaning(Meaning(spec, links)))

    def _same_question(self, pair: _Pair, links: tuple[Link, ...]) -> str | None:
        """The pair's own statement, if the question says the same values.

        Not if a relative date stands in the question and an absolute one in the statement: what was right on
        the day of the pair is not right on another.
        """
        if len(links) != len(pair.links) or not all(map(same_meaning, links, pair.links)):
            return None
        dated = any(_is_relative(link) for link in links) and _YEAR.search(pair.example.sql)
        return None if dated else pair.example.sql

    def _filled(self, pair: _Pair, links: tuple[Link, ...]) -> str | None:
        key = pair.example.id
        if key not in self._templates:
            schema = self._context.schema
            self._templates[key] = make_template(pair.example.sql, pair.links, schema, pair.asked_on)
        template = self._templates[key]
        return template.fill(links) if template is not None else None


def _is_ambiguous(link: Link) -> bool:
    """Whether a name may be several values of one column."""
    columns = [(candidate.table, candidate.column) for candidate in link.candidates]
    return len(set(columns)) < len(columns)


def _is_relative(link: Link) -> bool:
    """Whether a date link means other days when asked on another day, or cannot be read."""
    if link.dates is None:
        return False
    bounds = range_signature(link.dates)
    return bounds is None or not all(side is None or is_absolute(side) for side in bounds)
