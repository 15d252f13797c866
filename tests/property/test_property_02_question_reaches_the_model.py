"""Property 02: The model always receives the full prompt and the question."""

import asyncio
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_request, tiny_profile

from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import ChatTurn, GenerationRequest

pytestmark = pytest.mark.property

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40).filter(str.strip)
turns = st.lists(
    st.builds(ChatTurn, role=st.sampled_from(["system", "user", "assistant"]), content=texts),
    min_size=1,
    max_size=4,
)


class WatchedEngine:
    """An engine whose model notes what it is given."""

    def __init__(self, prompt_format: str) -> None:
        self.engine = TransformersEngine(tiny_profile(prompt_format=prompt_format))
        self._forward = self.engine._loaded.model.forward
        self._given: list[torch.Tensor] = []
        self.engine._loaded.model.forward = self._watch

    def _watch(self, **inputs: torch.Tensor) -> object:
        self._given.append(inputs["input_ids"])
        return self._forward(**inputs)

    def prompts_of(self, requests: list[GenerationRequest]) -> list[str]:
        """The text of every prompt that the model was given for these requests."""

        async def submit() -> None:
            await asyncio.gather(*map(self.engine.submit, requests))

        self._given.clear()
        asyncio.run(submit())
        prompts = [row.tolist() for ids in self._given if ids.shape[1] > 1 for row in ids]
        return [self.engine._loaded.backend.decode(ids, skip_special_tokens=False) for ids in prompts]


@pytest.fixture(scope="module", params=["raw", "chat"])
def watched(request: pytest.FixtureRequest) -> Iterator[WatchedEngine]:
    engine = WatchedEngine(request.param)
    yield engine
    asyncio.run(engine.engine.close())


@settings(deadline=None, max_examples=100)
@given(questions=st.lists(texts, min_size=1, max_size=4))
def test_every_question_reaches_the_model_whole(watched: WatchedEngine, questions: list[str]) -> None:
    chat = watched.engine.profile.prompt_format == "chat"
    requests = [
        make_request(
            None if chat else question,
            request_id=str(number),
            turns=(ChatTurn(role="user", content=question),) if chat else (),
            max_new_tokens=2,
        )
        for number, question in enumerate(questions)
    ]
    prompts = watched.prompts_of(requests)
    assert len(prompts) == len(questions)
    for question in questions:
        assert any(question in prompt for prompt in prompts)


@settings(deadline=None, max_examples=100)
@given(conversation=turns)
def test_every_turn_reaches_the_model_in_order(watched: WatchedEngine, conversation: list[ChatTurn]) -> None:
    request = make_request(None, turns=tuple(conversation), max_new_tokens=1)
    (prompt,) = watched.prompts_of([request])
    place = 0
    for turn in conversation:
        place = prompt.index(turn.content, place) + len(turn.content)
