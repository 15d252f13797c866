"""Answers without a generation, for the prompt builder: the library's examples over the live schema."""

import asyncio
from dataclasses import dataclass
from datetime import date

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.prompt_builder.verified.matcher import VerifiedMatcher
from serve_app.contracts import ConversationContext, Proposal, Question, SchemaSnapshot


@dataclass(frozen=True, slots=True)
class _View:
    """A matcher and what it was made of."""

    fingerprint: str
    examples: tuple[Example, ...]
    today: date
    matcher: VerifiedMatcher


class VerifiedAnswers:
    """Verified statements for questions of their shape."""

    def __init__(self, pack: DomainPack, library: ExampleLibrary) -> None:
        self._pack = pack
        self._library = library
        self._view: _View | None = None

    async def propose(
        self, question: Question, context: ConversationContext, schema: SchemaSnapshot
    ) -> Proposal | None:
        """The statement for a question; None if no verified example clearly gives one.

        Within a conversation only a question that is a verified one word by word counts: a shorter or longer
        one may refer back.
        """
        today = question.asked_at.date()
        matcher = await self._matcher(schema, today)
        organization = question.caller.organization_id
        return matcher.match(question.text, today, organization, exact_only=bool(context.exchanges))

    async def _matcher(self, schema: SchemaSnapshot, today: date) -> VerifiedMatcher:
        examples = await self._library.examples()
        view = self._view
        fresh = view is not None and (view.fingerprint, view.today) == (schema.fingerprint, today)
        if view is None or not fresh or view.examples is not examples:
            matcher = await asyncio.to_thread(self._make, examples, schema, today)
            view = self._view = _View(schema.fingerprint, examples, today, matcher)
        return view.matcher

    def _make(self, examples: tuple[Example, ...], schema: SchemaSnapshot, today: date) -> VerifiedMatcher:
        linker = Linker(schema, self._pack)
        return VerifiedMatcher(examples, linker, SpecContext(schema, self._pack), today)
