"""Synthesizers shared by the tests of this folder, one per domain pack."""

from pathlib import Path

import pytest

from deployments.prompt_builder.synthesis.pairs import DEFAULT_FOLDER
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer

LIBRARY = Path(__file__).parents[2] / "data" / "library_pack"
PACKS = {"construction": DEFAULT_FOLDER, "library": LIBRARY}
_BUILT: dict[str, Synthesizer] = {}


def synthesizer_of(name: str) -> Synthesizer:
    if name not in _BUILT:
        _BUILT[name] = Synthesizer(PACKS[name])
    return _BUILT[name]


@pytest.fixture(params=sorted(PACKS))
def synthesizer(request: pytest.FixtureRequest) -> Synthesizer:
    """Once with the pack that has phrases and once with one that has none."""
    return synthesizer_of(request.param)


@pytest.fixture
def construction() -> Synthesizer:
    return synthesizer_of("construction")


@pytest.fixture
def library() -> Synthesizer:
    return synthesizer_of("library")
