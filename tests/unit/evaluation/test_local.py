from typing import Any

import pytest
from fakes import FakeExecutor, FakeValidator, make_result

from serve_app.contracts import (
    BuiltPrompt,
    CannotAnswer,
    Clarification,
    ConversationContext,
    GeneratedText,
    Generation,
    GenerationRequest,
    Interpretation,
    MemoryUsage,
    Prompt,
    Question,
    SchemaSnapshot,
    SqlCandidate,
)
from serve_app.errors import GenerationTimeout, PlumblineError
from serve_app.evaluation.local import LocalEndpoint
from serve_app.pipeline import EnginePlan
from tests.prompt_cases import SAMPLE_SCHEMA


class ProfileFake:
    """Outputs are SQL unless they say "cannot" or are "garbled"; the question "which?" is ambiguous."""

    def __init__(self) -> None:
        self.contexts: list[ConversationContext] = []

    async def build(
        self, question: Question, context: ConversationContext, schema: SchemaSnapshot, repair: Any
    ) -> BuiltPrompt:
        self.contexts.append(context)
        if question.text == "which?":
            return Clarification(question="Which one?", kind="entity")
        return Prompt(
            profile="house", text=question.text, question=question.text, token_count=1, schema_fingerprint="f"
        )

    async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> Interpretation:
        if output == "cannot":
            return CannotAnswer(reason="out_of_scope", message="I can't.")
        if output == "garbled":
            return CannotAnswer(reason="uncompilable", message="I did not understand.")
        return SqlCandidate(sql=output, query_spec=f"spec of {output}")


class EngineFake:
    """Gives these candidates, or fails."""

    def __init__(self, *texts: str, error: PlumblineError | None = None) -> None:
        self._texts = texts
        self._error = error

    async def submit(self, request: GenerationRequest) -> Generation:
        if self._error is not None:
            raise self._error
        memory = MemoryUsage(device="cpu", before_bytes=0, after_bytes=0, peak_bytes=0)
        return Generation(
            texts=tuple(GeneratedText(text=t, token_count=1, finish_reason="stop") for t in self._texts),
            prompt_tokens=1,
            engine="fake",
            model="fake",
            queue_ms=0,
            inference_ms=0,
            batch_size=1,
            memory=memory,
        )


def make_endpoint(
    profile: ProfileFake, engine: EngineFake, executor: FakeExecutor | None = None
) -> LocalEndpoint:
    return LocalEndpoint(
        profile,
        engine,  # type: ignore[arg-type]
        SAMPLE_SCHEMA,
        EnginePlan(),
        FakeValidator(),
        executor or FakeExecutor(),
    )


async def test_the_first_candidate_with_a_meaning_is_the_answer() -> None:
    reply = await make_endpoint(ProfileFake(), EngineFake("garbled", "SELECT 1")).ask("how many?")
    assert (reply.kind, reply.sql) == ("answer", "SELECT 1")


async def test_candidates_are_chosen_by_their_rows_as_a_server_does_it() -> None:
    executor = FakeExecutor(lambda sql: make_result([(1 if sql == "SELECT 1" else 2,)]))
    engine = EngineFake("SELECT 1", "SELECT 2", "SELECT 1 + 1")
    reply = await make_endpoint(ProfileFake(), engine, executor).ask("how many?")
    assert reply.sql == "SELECT 2"
    assert reply.features is not None
    assert reply.features.share == pytest.approx(2 / 3)


async def test_a_best_candidate_that_is_out_of_scope_is_believed() -> None:
    reply = await make_endpoint(ProfileFake(), EngineFake("cannot", "SELECT 1")).ask("the weather?")
    assert (reply.kind, reply.sql) == ("refusal", None)


@pytest.mark.parametrize(
    ("question", "engine", "kind", "error_type"),
    [
        ("how many?", EngineFake("cannot"), "refusal", None),
        ("which?", EngineFake("SELECT 1"), "clarification", None),
        ("how many?", EngineFake(error=GenerationTimeout()), "error", "generation_timeout"),
    ],
)
async def test_other_outcomes_are_told_apart(
    question: str, engine: EngineFake, kind: str, error_type: str | None
) -> None:
    reply = await make_endpoint(ProfileFake(), engine).ask(question)
    assert (reply.kind, reply.error_type, reply.sql) == (kind, error_type, None)


async def test_a_conversation_carries_what_was_meant() -> None:
    profile = ProfileFake()
    endpoint = make_endpoint(profile, EngineFake("SELECT 1"))
    first = await endpoint.ask("how many?")
    await endpoint.ask("which?", first.conversation_id)
    await endpoint.ask("the first", first.conversation_id)
    await endpoint.ask("another matter")
    assert [e.kind for e in profile.contexts[2].exchanges] == ["answer", "clarification"]
    assert profile.contexts[1].exchanges[0].query_spec == "spec of SELECT 1"
    assert profile.contexts[2].exchanges[1].answer == "Which one?"
    assert profile.contexts[3].exchanges == ()
