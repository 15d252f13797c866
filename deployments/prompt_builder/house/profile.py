"""The profile of the house model: a linked question in, the tokens of a query specification out."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.house.form import Meaning, PromptForm, prompt_form, used_placeholders
from deployments.prompt_builder.house.memory import dump_meaning, last_meaning
from deployments.prompt_builder.linking.linker import LinkedQuestion, Linker
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import CompileError, SpecError
from deployments.prompt_builder.query_spec.nodes import Cannot, QuerySpec
from deployments.prompt_builder.query_spec.shape import identified
from deployments.prompt_builder.query_spec.token_grammar import TokenGrammar
from deployments.prompt_builder.query_spec.tokens import decode
from deployments.prompt_builder.views import Views
from serve_app.contracts import (
    BuiltPrompt,
    CannotAnswer,
    ConversationContext,
    Interpretation,
    Link,
    Prompt,
    Question,
    SchemaSnapshot,
    SqlCandidate,
)
from serve_app.errors import InvalidRequest

_NOT_UNDERSTOOD = "I could not turn that into a query. Try asking it in other words."
Repair = tuple[str, str]


class HouseConfig(BaseModel):
    """What a prompt of the house model may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_prompt_tokens: int = Field(
        default=512, ge=16, le=8192, description="Longest prompt, the meaning of the question before included"
    )
    name_score: float = Field(
        default=0.7,
        ge=0.0,
        le=1.01,
        description="Names linked at this score or above must occur in the answer; above 1: no check",
    )
    grammar: bool = Field(default=False, description="Whether prompts carry an output grammar")


@dataclass(frozen=True, slots=True)
class _SchemaView:
    """What depends on the schema alone, made once per fingerprint."""

    linker: Linker
    context: SpecContext
    grammar: TokenGrammar


class HouseProfile:
    """Links the question, puts the meaning before it in front, and compiles what the model answers."""

    def __init__(
        self,
        pack: DomainPack,
        counter: TokenCounter,
        config: HouseConfig | None = None,
        vocabulary: Mapping[str, int] | None = None,
    ) -> None:
        """``vocabulary``: the words the model was trained on with their frequencies, for spelling."""
        self._pack = pack
        self._counter = counter
        self._config = config or HouseConfig()
        self._vocabulary = vocabulary
        self._views: Views[_SchemaView] = Views()

    async def build(
        self, question: Question, context: ConversationContext, schema: SchemaSnapshot, repair: Repair | None
    ) -> BuiltPrompt:
        """The prompt; ``repair`` changes nothing, since the model reads no reasons: its other candidates do.

        Raises:
            InvalidRequest: the question is too long for the model.
        """
        view = await self._view_of(schema)
        linked = view.linker.link(question.text, question.asked_at.date())
        form, truncation = _form(linked, last_meaning(context, view.context), view.context)
        tokens = await self._counter.exact([form.text])
        if tokens > self._config.max_prompt_tokens and form.has_previous:
            form, truncation = PromptForm(linked.text, linked.links), ("the question before",)
            tokens = await self._counter.exact([form.text])
        if tokens > self._config.max_prompt_tokens:
            raise InvalidRequest(
                f"The question is too long: {tokens} tokens, but at most {self._config.max_prompt_tokens} "
                "fit. Shorten it and ask again."
            )
        return Prompt(
            profile="house",
            text=form.text,
            question=question.text,
            token_count=tokens,
            links=form.links,
            unknown_words=view.linker.unknown_words(linked.text),
            grammar=await asyncio.to_thread(view.grammar.of, form.links) if self._config.grammar else None,
            context_used=int(form.has_previous),
            truncation=truncation,
            schema_fingerprint=schema.fingerprint,
        )

    async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> Interpretation:
        """The SQL that the model's tokens stand for, or why there is none."""
        view = await self._view_of(schema)
        try:
            spec = decode(output, view.context)
        except SpecError:
            return CannotAnswer(reason="uncompilable", message=_NOT_UNDERSTOOD)
        if isinstance(spec, Cannot):
            return CannotAnswer(reason="out_of_scope", message=self._out_of_scope(view.context))
        unused = self._unused_name(spec, prompt)
        if unused is not None:
            return CannotAnswer(
                reason="not_understood",
                message=f'I could not work "{unused.text}" into a query. Try asking it in other words.',
            )
        try:
            sql = compile_spec(identified(spec, view.context), prompt.links, view.context)
        except (CompileError, RecursionError):
            return CannotAnswer(reason="uncompilable", message=_NOT_UNDERSTOOD)
        meaning = dump_meaning(Meaning(spec, prompt.links))
        return SqlCandidate(sql=sql, query_spec=meaning, unused=_unused(spec, prompt))

    def _unused_name(self, spec: QuerySpec, prompt: Prompt) -> Link | None:
        """A name that the question surely says and the answer leaves out: its rows would be of all."""
        used = set(used_placeholders(spec))
        for link in prompt.links:
            surely = link.candidates and link.candidates[0].score >= self._config.name_score
            if surely and link.span != (0, 0) and link.placeholder not in used:
                return link
        return None

    def _out_of_scope(self, context: SpecContext) -> str:
        """Told with the tables that the caller may know of."""
        nouns = [
            _plural(table.terms, table.plurals)
            for name, table in self._pack.tables.items()
            if name in context.tables
        ]
        if not nouns:
            return "I can't answer that: no data is open to you."
        told = f"{', '.join(nouns[:-1])} and {nouns[-1]}" if len(nouns) > 1 else nouns[0]
        return f"I can't answer that yet. I can answer questions about {told}."

    async def _view_of(self, schema: SchemaSnapshot) -> _SchemaView:
        return await self._views.get(schema.fingerprint, lambda: self._make_view(schema))

    def _make_view(self, schema: SchemaSnapshot) -> _SchemaView:
        linker = Linker(schema, self._pack, self._vocabulary)
        context = SpecContext(schema, self._pack)
        return _SchemaView(linker, context, TokenGrammar(context))


def _form(
    linked: LinkedQuestion, previous: Meaning | None, context: SpecContext
) -> tuple[PromptForm, tuple[str, ...]]:
    """The prompt's form and what was left out of it."""
    try:
        form = prompt_form(linked, previous, context)
    except SpecError:
        form = PromptForm(linked.text, linked.links)
    dropped = previous is not None and not form.has_previous
    return form, ("the question before",) if dropped else ()


def _unused(spec: QuerySpec, prompt: Prompt) -> tuple[str, ...]:
    """What the linker found in the question itself and the specification does without."""
    used = set(used_placeholders(spec))
    return tuple(link.text for link in prompt.links if link.span != (0, 0) and link.placeholder not in used)


def _plural(terms: tuple[str, ...], plurals: tuple[str, ...]) -> str:
    return plurals[0] if plurals else f"{terms[0]}s"
