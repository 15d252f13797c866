"""Engines over the tiny model."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tiny_models import MakeEngine, tiny_profile

from deployments.generator.engine_config import EngineConfig
from deployments.generator.model_profile import ModelProfile
from deployments.generator.transformers_engine import TransformersEngine


@pytest.fixture
async def make_engine() -> AsyncIterator[MakeEngine]:
    """Engines that are closed after the test: ``make_engine(profile, max_batch_size=…)``."""
    engines: list[TransformersEngine] = []

    def make(profile: ModelProfile | None = None, **config: Any) -> TransformersEngine:
        engine = TransformersEngine(profile or tiny_profile(), EngineConfig(**config))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.close()


@pytest.fixture
async def engine(make_engine: MakeEngine) -> TransformersEngine:
    return make_engine()
