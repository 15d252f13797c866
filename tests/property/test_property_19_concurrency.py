"""Property 19: questions within the limits all succeed, further ones queue, the rest are refused cleanly."""

import asyncio

from fakes import FakeGenerator, Gate, make_stages
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.api_models import ChatRequest
from serve_app.metrics import Figures, NullRecorder
from serve_app.service import ChatService, Reply, ServiceConfig
from serve_app.settings.tree import LimitSettings


async def ask_all(questions: int, limit: int, queue: int) -> tuple[list[Reply], FakeGenerator, ChatService]:
    """All questions at once; the model goes on only when every one has been taken, queued or refused."""
    gate = Gate()
    generator = FakeGenerator(gate=gate)
    limits = LimitSettings(max_concurrent_questions=limit, max_queued_questions=queue, retry_after_s=3)
    service = ChatService(
        make_stages(generator=generator), ServiceConfig(limits=limits), Figures(NullRecorder())
    )
    tasks = [
        asyncio.create_task(service.chat(ChatRequest(query=f"q{n}", user_id="u"), f"r{n}"))
        for n in range(questions)
    ]
    await gate.reached.wait()
    admission = service.admission
    # A count that no event tells of.
    while sum(t.done() for t in tasks) + admission.active + admission.waiting < questions:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gate.opened.set()
    return await asyncio.gather(*tasks), generator, service


@settings(max_examples=120, deadline=None)
@given(questions=st.integers(1, 40), limit=st.integers(1, 12), queue=st.integers(0, 12))
def test_property_19_within_the_limits_all_succeed_beyond_they_are_refused(
    questions: int, limit: int, queue: int
) -> None:
    replies, generator, service = asyncio.run(ask_all(questions, limit, queue))
    answered = [r for r in replies if r.status == 200]
    refused = [r for r in replies if r.status != 200]
    assert len(answered) == min(questions, limit + queue)
    assert generator.most_running <= limit
    for reply in refused:
        assert reply.status == 503
        assert reply.retry_after_s == 3
        assert reply.body.error is not None
        assert reply.body.error.type == "overloaded"
    assert (service.admission.active, service.admission.waiting) == (0, 0)
