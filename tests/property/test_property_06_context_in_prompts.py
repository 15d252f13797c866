"""Property 06: a prompt carries the relevant last exchanges of a conversation, at most N."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.prompt_builder.instruction import wording
from serve_app.contracts import Exchange, Prompt
from tests.prompt_cases import (
    SAMPLE_SCHEMA,
    exchanges,
    make_context,
    make_profile,
    make_question,
    sentences,
    whole_text,
)

pytestmark = pytest.mark.property


@given(past=st.lists(exchanges(), max_size=12), most=st.integers(0, 8), question=sentences)
@settings(max_examples=150, deadline=None)
def test_the_last_relevant_exchanges_stand_in_order(past: list[Exchange], most: int, question: str) -> None:
    profile = make_profile(max_context_tokens=1_000_000, max_history=most)
    prompt = asyncio.run(profile.build(make_question(question), make_context(*past), SAMPLE_SCHEMA, None))
    assert isinstance(prompt, Prompt)
    relevant = [e for e in past if e.kind in ("answer", "clarification")]
    expected = relevant[max(0, len(relevant) - most) :]
    assert prompt.context_used == len(expected)
    asked = whole_text(prompt).rpartition(wording.heading("Conversation") + "\n")[2]
    conversation, _, _ = asked.rpartition(wording.heading("Question") + "\n")
    assert conversation == "\n".join([wording.exchange(e) for e in expected] or ["(none)"]) + "\n"


@given(past=st.lists(exchanges(), min_size=1, max_size=6), limit=st.integers(1200, 2600))
@settings(max_examples=100, deadline=None)
def test_a_short_budget_drops_the_oldest_first_and_says_so(past: list[Exchange], limit: int) -> None:
    profile = make_profile(max_context_tokens=limit, max_history=6)
    question = make_question("and for last month?")
    prompt = asyncio.run(profile.build(question, make_context(*past), SAMPLE_SCHEMA, None))
    assert isinstance(prompt, Prompt)
    relevant = [e for e in past if e.kind in ("answer", "clarification")]
    kept = relevant[len(relevant) - prompt.context_used :]
    text = whole_text(prompt)
    assert all(wording.exchange(e) in text for e in kept)
    told = any("earlier exchange" in words for words in prompt.truncation)
    assert told == (len(kept) < len(relevant))
