"""Property 08: schema, examples, context and question never exceed the limit; what goes is told."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.contracts import Exchange, Prompt, SchemaSnapshot
from serve_app.errors import InvalidRequest
from tests.prompt_cases import (
    EMPTY_PACK,
    SAMPLE_SCHEMA,
    by_chars,
    exchanges,
    make_context,
    make_profile,
    make_question,
    schemas,
    sentences,
    whole_text,
)

pytestmark = pytest.mark.property

RESERVE = 32


@given(
    schema=schemas() | st.just(SAMPLE_SCHEMA),
    past=st.lists(exchanges(), max_size=6),
    question=sentences | st.text(min_size=1, max_size=4000),
    limit=st.integers(512, 3000),
    chars=st.integers(1, 6),
    repair=st.none() | st.tuples(sentences, sentences),
    system_role=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_no_prompt_exceeds_the_limit(
    schema: SchemaSnapshot,
    past: list[Exchange],
    question: str,
    limit: int,
    chars: int,
    repair: tuple[str, str] | None,
    system_role: bool,
) -> None:
    counter = by_chars(chars)
    profile = make_profile(counter, max_context_tokens=limit, system_role=system_role)
    try:
        prompt = asyncio.run(profile.build(make_question(question), make_context(*past), schema, repair))
    except InvalidRequest:
        return
    assert isinstance(prompt, Prompt)
    real = asyncio.run(counter.exact([turn.content for turn in prompt.turns]))
    assert real + RESERVE == prompt.token_count <= limit


@given(
    schema=schemas(), past=st.lists(exchanges(), max_size=6), question=sentences, limit=st.integers(512, 3000)
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_missing_is_told(
    schema: SchemaSnapshot, past: list[Exchange], question: str, limit: int
) -> None:
    def text_within(tokens: int) -> tuple[str, tuple[str, ...]]:
        profile = make_profile(pack=EMPTY_PACK, max_context_tokens=tokens)
        prompt = asyncio.run(profile.build(make_question(question), make_context(*past), schema, None))
        assert isinstance(prompt, Prompt)
        return whole_text(prompt), prompt.truncation

    full, nothing_dropped = text_within(1_000_000)
    assert nothing_dropped == ()
    try:
        text, dropped = text_within(limit)
    except InvalidRequest:
        return
    assert (text == full) == (dropped == ())


@given(
    question=st.text(min_size=1, max_size=3000).filter(lambda q: bool(q.strip())), past=st.lists(exchanges())
)
@settings(max_examples=100, deadline=None)
def test_examples_leave_before_context_and_context_before_tables(question: str, past: list[Exchange]) -> None:
    profile = make_profile(by_chars(3), max_context_tokens=2000)
    try:
        prompt = asyncio.run(profile.build(make_question(question), make_context(*past), SAMPLE_SCHEMA, None))
    except InvalidRequest:
        return
    assert isinstance(prompt, Prompt)
    told = " ".join(prompt.truncation)
    if "earlier exchange" in told or "only named" in told:
        assert "SQL:" not in whole_text(prompt).partition("## Examples")[2].partition("## Conversation")[0]
    if "only named" in told:
        assert prompt.context_used <= 1
