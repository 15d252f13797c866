"""Answers without a generation, for the prompt builder: the library's examples over the live schema."""

from dataclasses import dataclass
from datetime import date

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.schema_fit import fitting_examples
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.prompt_builder.verified.matcher import VerifiedMatcher
from deployments.prompt_builder.views import Views
from serve_app.contracts import ConversationContext, Proposal, Question, SchemaSnapshot


@dataclass(frozen=True, slots=True)
class _View:
    """A matcher and what it was made of."""

    examples: tuple[Example, ...]
    matcher: VerifiedMatcher


class VerifiedAnswers:
    """Verified statements for questions of their shape."""

    def __init__(self, pack: DomainPack, library: ExampleLibrary) -> None:
        self._pack = pack
        self._library = library
        self._views: Views[_View] = Views()

    async def propose(
        self, question: Question, context: ConversationContext, schema: SchemaSnapshot
    ) -> Proposal | None:
        """The statement for a question; None if no verified example clearly gives one.

        Within a conversation only a question that is a verified one word by word counts: a shorter or longer
        one may refer back.
        """
        today = question.asked_at.date()
        organization = question.caller.organization_id
        matcher = await self._matcher(schema, today, organization is not None)
        return matcher.match(question.text, today, organization, exact_only=bool(context.exchanges))

    async def _matcher(self, schema: SchemaSnapshot, today: date, is_scoped: bool) -> VerifiedMatcher:
        examples = await self._library.examples()

        def make() -> _View:
            # An organization is offered no statement that names what others have.
            fitting = fitting_examples(examples, schema, with_values=True) if is_scoped else examples
            return _View(examples, self._make(fitting, schema, today))

        key = (schema.fingerprint, today, is_scoped)
        view = await self._views.get(key, make, lambda kept: kept.examples is examples)
        return view.matcher

    def _make(self, examples: tuple[Example, ...], schema: SchemaSnapshot, today: date) -> VerifiedMatcher:
        linker = Linker(schema, self._pack)
        return VerifiedMatcher(examples, linker, SpecContext(schema, self._pack), today)
