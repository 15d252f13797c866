"""The profile of instruction models (Mistral-7B-Instruct and other chat models): seven parts in, SQL out."""

import re
from dataclasses import dataclass, replace

from deployments.prompt_builder.budget import Ladder, TokenCounter
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.instruction import wording
from deployments.prompt_builder.instruction.plan import Materials, Plan
from deployments.prompt_builder.instruction.relevance import Vocabulary
from deployments.prompt_builder.instruction.sql_grammar import sql_grammar
from deployments.prompt_builder.instruction.terminology import Terminology
from deployments.prompt_builder.instruction.user_text import as_data, neutralised
from deployments.prompt_builder.retrieval import Example, ExampleIndex
from deployments.prompt_builder.schema_fit import fitting_examples
from deployments.prompt_builder.schema_text import table_text
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.prompt_builder.views import Views
from deployments.sql_validator.extraction import extract_sql
from serve_app.contracts import (
    BuiltPrompt,
    CannotAnswer,
    ChatTurn,
    ConversationContext,
    Exchange,
    Interpretation,
    Prompt,
    Question,
    SchemaSnapshot,
    SqlCandidate,
)
from serve_app.errors import InvalidRequest

_CANNOT = re.compile(re.escape(wording.CANNOT_ANSWER), re.IGNORECASE)
OUT_OF_SCOPE = "I can't answer that from this database. GET /api/schema lists what can be asked about."
# For the few texts that differ with every plan, before the whole prompt is measured.
CHARS_PER_TOKEN = 3

Repair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _SchemaView:
    """Everything that depends on the schema alone, made once per fingerprint."""

    order: tuple[str, ...]
    texts: dict[tuple[str, bool, bool], str]
    vocabulary: Vocabulary
    terminology: Terminology
    examples: ExampleIndex
    offered: tuple[Example, ...]
    grammar: str | None


class InstructionProfile:
    """Builds the seven-part prompt within the token budget and reads SQL from any output."""

    def __init__(
        self, pack: DomainPack, library: ExampleLibrary, counter: TokenCounter, config: PromptConfig
    ) -> None:
        self._pack = pack
        self._library = library
        self._counter = counter
        self._config = config
        self._views: Views[_SchemaView] = Views()

    async def build(
        self, question: Question, context: ConversationContext, schema: SchemaSnapshot, repair: Repair | None
    ) -> BuiltPrompt:
        """The fullest prompt within the budget.

        Raises:
            InvalidRequest: the question alone is too long.
        """
        limit = self._config.max_context_tokens - self._config.template_reserve_tokens
        if not await self._counter.at_most(as_data(question.text), limit):
            raise _too_long(limit)
        view = await self._view_of(schema, question.caller.organization_id is not None)
        exchanges = relevant_exchanges(context, self._config.max_history)
        materials = self._materials(view, question, exchanges, repair)
        plans = materials.rungs()
        counts = await self._counter.counts(materials.pieces())

        def estimate(plan: Plan) -> int:
            layout = (text for half in materials.layout(plan) for text in half)
            return sum(counts.get(text, len(text) // CHARS_PER_TOKEN) + 1 for text in layout)

        async def measure(plan: Plan) -> int:
            return await self._counter.exact([turn.content for turn in self._turns(materials, plan)])

        found = await Ladder(plans, estimate, measure).largest_within(limit)
        if found is None:
            raise _too_long(limit)
        plan, tokens = found
        return Prompt(
            profile="instruction",
            turns=self._turns(materials, plan),
            question=question.text,
            token_count=tokens + self._config.template_reserve_tokens,
            grammar=view.grammar,
            context_used=plan.exchanges,
            truncation=materials.dropped(plan),
            schema_fingerprint=schema.fingerprint,
        )

    async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> Interpretation:
        """The SQL in an output, or the model's own word that it cannot answer."""
        refusal = _CANNOT.search(output)
        sql = extract_sql(output)
        if sql is not None and (refusal is None or output.find(sql[:20]) < refusal.start()):
            return SqlCandidate(sql=sql)
        if refusal is not None:
            # Not in the model's words: whoever talks it into something would speak in the server's name.
            return CannotAnswer(reason="out_of_scope", message=OUT_OF_SCOPE)
        return CannotAnswer(
            reason="not_understood",
            message="I could not turn that into a query. Try asking it in other words.",
        )

    async def _view_of(self, schema: SchemaSnapshot, is_scoped: bool) -> _SchemaView:
        """``is_scoped``: an organization's schema, in which examples must not name what others have."""
        examples = await self._library.examples()
        key = (schema.fingerprint, is_scoped)
        view = await self._views.get(key, lambda: self._make_view(schema, examples, is_scoped))
        if view.offered is not examples:
            known = view

            def renewed() -> _SchemaView:
                return replace(known, examples=_index(examples, schema, is_scoped), offered=examples)

            view = await self._views.get(key, renewed, lambda kept: kept.offered is examples)
        return view

    def _make_view(
        self, schema: SchemaSnapshot, examples: tuple[Example, ...], is_scoped: bool
    ) -> _SchemaView:
        texts = {
            (table.name, samples, comments): neutralised(table_text(table, samples, comments))
            for table in schema.tables
            for samples in (True, False)
            for comments in (True, False)
        }
        return _SchemaView(
            order=tuple(table.name for table in schema.tables),
            texts=texts,
            vocabulary=Vocabulary(schema, self._pack),
            terminology=Terminology(self._pack, schema),
            examples=_index(examples, schema, is_scoped),
            offered=examples,
            grammar=_grammar(examples, schema, is_scoped) if self._config.grammar else None,
        )

    def _materials(
        self, view: _SchemaView, question: Question, exchanges: tuple[Exchange, ...], repair: Repair | None
    ) -> Materials:
        last = exchanges[-1] if exchanges else None
        spoken = " ".join([question.text, *(f"{e.question} {e.sql or ''}" for e in exchanges[-1:])])
        by_usefulness, needed = view.vocabulary.by_usefulness(spoken)
        nearest = view.examples.nearest(
            question.text,
            self._config.examples,
            self._config.least_similarity,
            question.caller.organization_id,
        )
        lines = view.terminology.lines
        return Materials(
            instructions=wording.instructions(self._config.default_rows),
            schema_order=view.order,
            by_usefulness=by_usefulness,
            needed=needed,
            table_texts=view.texts,
            terms={"all": lines(spoken), "needed": lines(spoken, by_usefulness[:needed]), "none": ()},
            examples=tuple(wording.example(pair) for pair, _ in nearest),
            exchanges=tuple(wording.exchange(past) for past in exchanges),
            question=wording.question(question.text, question.asked_at.date(), last),
            output_format=wording.output_format(),
            rejected=wording.rejected(*repair) if repair else None,
            rejected_reason=wording.rejected("(left out)", repair[1]) if repair else None,
        )

    def _turns(self, materials: Materials, plan: Plan) -> tuple[ChatTurn, ...]:
        fixed, asked = ("\n".join(half) for half in materials.layout(plan))
        if self._config.system_role:
            return ChatTurn(role="system", content=fixed), ChatTurn(role="user", content=asked)
        return (ChatTurn(role="user", content=f"{fixed}\n{asked}"),)


def relevant_exchanges(context: ConversationContext, limit: int) -> tuple[Exchange, ...]:
    """The last exchanges a question may refer back to: answers and clarifications, no refusals or errors."""
    useful = [past for past in context.exchanges if past.kind in ("answer", "clarification")]
    return tuple(useful[len(useful) - limit :] if len(useful) > limit else useful)


def _index(examples: tuple[Example, ...], schema: SchemaSnapshot, is_scoped: bool) -> ExampleIndex:
    return ExampleIndex(fitting_examples(examples, schema, with_values=is_scoped))


def _grammar(examples: tuple[Example, ...], schema: SchemaSnapshot, is_scoped: bool) -> str:
    """With the names of the examples that everybody may see."""
    shared = [example for example in examples if example.organization_id is None]
    return sql_grammar(
        schema, (example.sql for example in fitting_examples(shared, schema, with_values=is_scoped))
    )


def _too_long(limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"The question is too long: at most about {limit} tokens fit with what the model needs beside it. "
        "Shorten it and ask again."
    )
