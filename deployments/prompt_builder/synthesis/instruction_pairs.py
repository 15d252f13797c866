"""Synthesized questions as training data of an instruction model: the prompt of inference, and its SQL."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time

from deployments.prompt_builder.house.form import prompt_form
from deployments.prompt_builder.instruction.profile import InstructionProfile
from deployments.prompt_builder.instruction.wording import cannot_answer, statement
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.compiler.kinds import counted_spec
from deployments.prompt_builder.query_spec.compiler.two_levels import is_two_level
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import Cannot, NumberLiteral, QuerySpec
from deployments.prompt_builder.query_spec.shape import is_grouped, reads_rows
from deployments.prompt_builder.synthesis.pairs import SynthesisError, held_out
from deployments.prompt_builder.synthesis.synthesizer import Example, Synthesizer
from serve_app.contracts import (
    Caller,
    ConversationContext,
    Exchange,
    Link,
    Message,
    Prompt,
    Question,
)

NOTHING_ABOUT_IT = "the database holds nothing about that."
_MAX_TRIES = 200
# Beyond every phase of the curriculum: who knows English already needs no grammar first.
_LAST_PHASE = 10**9


class InstructionExample(Message):
    """A prompt's two turns and what the model is to write; the keys of an instruction file."""

    instruction: str
    input: str
    output: str


class InstructionPairs:
    """Examples over one schema. Questions that the house model's training holds out are left out here too.

    The synthesizers stand on different days: with one day alone, a model would learn the day and not read it.
    """

    def __init__(self, synthesizers: Sequence[Synthesizer], profile: InstructionProfile, rows: int) -> None:
        """``rows`` is the LIMIT that the prompt asks for where a question names none."""
        self._synthesizers = tuple(synthesizers)
        self._profile = profile
        self._rows = rows

    async def examples(self, seed: int) -> AsyncIterator[tuple[InstructionExample, str | None]]:
        """Endless; with each its SQL, or None where the data cannot answer.

        Raises:
            SynthesisError: schema and pack give nothing.
        """
        index = 0
        while True:
            yield await self._example(random.Random(f"instruction:{seed}:{index}"), index)
            index += 1

    async def _example(self, rng: random.Random, index: int) -> tuple[InstructionExample, str | None]:
        synthesizer = self._synthesizers[index % len(self._synthesizers)]
        for _ in range(_MAX_TRIES):
            drawn = synthesizer.draw(rng, _LAST_PHASE + index)
            if drawn is None or held_out(drawn.linked.text):
                continue
            found = await self._written(synthesizer, drawn, index)
            if found is not None:
                return found
        raise SynthesisError(f"no example in {_MAX_TRIES} tries at index {index}; look at the drop report")

    async def _written(
        self, synthesizer: Synthesizer, drawn: Example, index: int
    ) -> tuple[InstructionExample, str | None] | None:
        if (drawn.previous is None) != (drawn.before is None):
            return None
        try:
            sql = self._sql(synthesizer, drawn)
            context = self._context(synthesizer, drawn)
        except SpecError as error:
            synthesizer.tally.dropped[drawn.kind, f"spec: {str(error)[:60]}"] += 1
            return None
        question = Question(
            text=drawn.question,
            caller=Caller(user_id="training"),
            request_id=str(index),
            asked_at=datetime.combine(synthesizer.today, time(12), UTC),
        )
        prompt = await self._profile.build(question, context, synthesizer.schema, None)
        if not isinstance(prompt, Prompt):
            return None
        texts = [turn.content for turn in prompt.turns]
        output = statement(sql) if sql is not None else cannot_answer(NOTHING_ABOUT_IT)
        return InstructionExample(instruction=texts[0], input="\n".join(texts[1:]), output=output), sql

    def _sql(self, synthesizer: Synthesizer, drawn: Example) -> str | None:
        if isinstance(drawn.spec, Cannot):
            return None
        links = prompt_form(drawn.linked, drawn.previous, synthesizer.context).links
        return self._compiled(synthesizer, drawn.spec, links)

    def _compiled(self, synthesizer: Synthesizer, spec: QuerySpec, links: tuple[Link, ...]) -> str:
        if _lists_rows(spec, synthesizer):
            spec = replace(spec, limit=NumberLiteral(str(self._rows)))
        return compile_spec(spec, links, synthesizer.context)

    def _context(self, synthesizer: Synthesizer, drawn: Example) -> ConversationContext:
        past = drawn.previous
        if past is None or drawn.before is None:
            return ConversationContext(conversation_id="training")
        exchange = Exchange(
            question=drawn.before,
            sql=self._compiled(synthesizer, past.spec, past.links),
            at=datetime.combine(synthesizer.today, time(12), UTC),
        )
        return ConversationContext(conversation_id="training", exchanges=(exchange,), total_exchanges=1)


def _lists_rows(spec: QuerySpec, synthesizer: Synthesizer) -> bool:
    """Whether the result has a row per row of the table and the question names no number of them."""
    context = synthesizer.context
    if spec.limit is not None or is_grouped(spec, context) or is_two_level(spec, context):
        return False
    if counted_spec(spec) is not None:
        return False
    return not spec.show or any(reads_rows(item, spec.table, context) for item in spec.show)
