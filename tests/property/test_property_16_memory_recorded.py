"""Property 16: Every generation records memory before, after and at its peak."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_request, tiny_profile

from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import Generation

pytestmark = pytest.mark.property

requests = st.lists(
    st.builds(
        make_request,
        text=st.sampled_from(["short", "a somewhat longer prompt " * 4]),
        candidates=st.integers(1, 4),
        temperature=st.sampled_from([0.0, 0.8]),
        max_new_tokens=st.integers(1, 12),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(tiny_profile())
    yield engine
    asyncio.run(engine.close())


@settings(deadline=None, max_examples=100)
@given(requests=requests, cancelled=st.booleans())
def test_memory_is_recorded(engine: TransformersEngine, requests: list, cancelled: bool) -> None:
    numbered = [request.model_copy(update={"request_id": str(i)}) for i, request in enumerate(requests)]

    async def submit() -> list[Generation]:
        tasks = [asyncio.create_task(engine.submit(request)) for request in numbered]
        if cancelled:
            await asyncio.sleep(0)
            await engine.cancel("0")
        return await asyncio.gather(*tasks)

    for generation in asyncio.run(submit()):
        memory = generation.memory
        assert memory.device == "cpu"
        assert memory.before_bytes > 0
        assert memory.after_bytes > 0
        assert memory.peak_bytes >= max(memory.before_bytes, memory.after_bytes)
