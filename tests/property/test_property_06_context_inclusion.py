"""Property 06: a question with history reaches the prompt with its last exchanges, at most N, in order."""

import asyncio

from fakes import FakeConversations, FakePromptBuilder, make_question, make_stages
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.pipeline import PipelineLimits, answer
from serve_app.trace import Trace


async def converse(texts: list[str], max_history: int) -> FakePromptBuilder:
    """Ask all texts in one conversation."""
    builder = FakePromptBuilder()
    stages = make_stages(prompt_builder=builder, conversations=FakeConversations())
    conversation_id = None
    for text in texts:
        trace = Trace(make_question(text, conversation_id=conversation_id))
        done = await answer(trace.question, stages, PipelineLimits(max_history=max_history), trace)
        conversation_id = done.conversation_id
    return builder


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        st.text(st.characters(categories=["Ll"]), min_size=1, max_size=12), min_size=1, max_size=12
    ),
    max_history=st.integers(0, 8),
)
def test_property_06_the_prompt_gets_the_last_exchanges_at_most_n(texts: list[str], max_history: int) -> None:
    builder = asyncio.run(converse(texts, max_history))
    for place, (question, context, _) in enumerate(builder.asked):
        before = texts[:place]
        expected = before[-max_history:] if max_history else []
        assert question.text == texts[place]
        assert [e.question for e in context.exchanges] == expected
        assert context.total_exchanges == place
