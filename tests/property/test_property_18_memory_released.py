"""Property 18: After a request its memory is free again; no growth over thousands of requests."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_request, tiny_profile

from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import GenerationRequest
from serve_app.errors import GenerationTimeout

pytestmark = pytest.mark.property

ALLOWED_GROWTH_BYTES = 8 * 1024**2  # a leaked cache of 2,000 requests would be several times as much
KEPT_BATCHES = 20

ends = st.sampled_from(["finishes", "is cancelled", "is abandoned", "times out", "is streamed"])
lives = st.lists(st.tuples(ends, st.integers(1, 4), st.integers(1, 60)), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(tiny_profile())
    yield engine
    asyncio.run(engine.close())


class Watch:
    """Weak references to the keys, values and logits of every pass of the model."""

    def __init__(self, engine: TransformersEngine) -> None:
        self._model = engine._loaded.model
        self._forward = self._model.forward
        self._seen: list[weakref.ref[Any]] = []

    def __enter__(self) -> "Watch":
        self._model.forward = self._note
        return self

    def __exit__(self, *_: object) -> None:
        self._model.forward = self._forward

    def _note(self, **inputs: Any) -> Any:
        output = self._forward(**inputs)
        cache = inputs["past_key_values"]
        kept = [output.logits, cache, *(layer.keys for layer in cache.layers)]
        self._seen += [weakref.ref(thing) for thing in kept]
        return output

    def outcome(self) -> tuple[int, int]:
        """How many things were seen and how many of them still live."""
        gc.collect(0)
        return len(self._seen), sum(reference() is not None for reference in self._seen)


async def live(engine: TransformersEngine, number: int, end: str, candidates: int, tokens: int) -> None:
    """One request with the given end."""
    name = f"r{number}"
    timeout_s = 0.001 if end == "times out" else 30.0
    request = make_request(
        "prompt " * (1 + number), name, candidates=candidates, max_new_tokens=tokens, timeout_s=timeout_s
    )
    if end == "is streamed":
        async for _ in engine.stream(request):
            break
        return
    task = asyncio.create_task(engine.submit(request))
    await asyncio.sleep(0)
    if end == "is cancelled":
        await engine.cancel(name)
    if end == "is abandoned":
        task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    expected = {"times out": GenerationTimeout, "is abandoned": asyncio.CancelledError}.get(end)
    if isinstance(outcome, BaseException):
        assert expected is not None
        assert isinstance(outcome, expected)


async def idle(engine: TransformersEngine) -> None:
    async with asyncio.timeout(20):
        idle_figures = {"active_requests": 0, "queued_requests": 0}
        while not idle_figures.items() <= (await engine.health()).figures.items():  # noqa: ASYNC110
            await asyncio.sleep(0)
        # When one more request is answered, the thread has cleaned up after those before.
        await engine.submit(make_request("last", max_new_tokens=1))


@settings(deadline=None, max_examples=100)
@given(lives=lives)
def test_no_tensor_outlives_its_request(
    engine: TransformersEngine, lives: list[tuple[str, int, int]]
) -> None:
    async def run() -> None:
        await asyncio.gather(*(live(engine, number, *one) for number, one in enumerate(lives)))
        await idle(engine)

    with Watch(engine) as watch:
        asyncio.run(run())
        seen, alive = watch.outcome()
    assert seen
    assert alive == 0


def test_two_thousand_requests_do_not_grow_the_process(engine: TransformersEngine) -> None:
    def request(number: int) -> GenerationRequest:
        return make_request("prompt " * (1 + number % 9), str(number), max_new_tokens=1 + number % 5)

    async def run(count: int) -> int:
        for first in range(0, count, KEPT_BATCHES):
            await asyncio.gather(*(engine.submit(request(first + i)) for i in range(KEPT_BATCHES)))
        await idle(engine)
        return engine.memory().after_bytes

    warmed_up = asyncio.run(run(1000))
    assert asyncio.run(run(2000)) - warmed_up < ALLOWED_GROWTH_BYTES
