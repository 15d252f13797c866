"""The Generator deployment: one model on one device, batching by its engine."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from ray import serve

from deployments.generator.engine import Engine
from deployments.generator.engine_config import EngineConfig
from deployments.generator.model_profile import ModelProfile
from deployments.generator.remote.engine import RemoteEngine
from serve_app.contracts import Generation, GenerationRequest, StageHealth, TokenChunk
from serve_app.errors import ModelUnavailable
from serve_app.logging import configure_logging
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings.tree import LoggingSettings

# Each group of tokens costs a hop of 1-4 ms between processes, and people do not read faster than this.
STREAM_INTERVAL_S = 0.05

Pieces = list[TokenChunk | Generation]


class Generator:
    """Prompts in, tokens out. ``user_config`` of the Serve config holds the batching (`EngineConfig`)."""

    def __init__(self, profile: ModelProfile, enabled: bool, logs: LoggingSettings) -> None:
        configure_logging(logs.level, logs.file, "Generator")
        self._engine = _load(profile) if enabled else None

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new batching figures without reloading the model.

        Raises:
            ConfigurationError: an unknown field, or a value out of bounds.
        """
        if self._engine is not None:
            self._engine.reconfigure(**user_config)

    async def generate(self, request: GenerationRequest) -> Generation:
        return await self._ready().submit(request)

    async def stream(self, request: GenerationRequest) -> AsyncIterator[Pieces]:
        """The engine's stream in groups, the Generation in the last one."""
        async with aclosing(self._ready().stream(request)) as pieces:  # type: ignore[type-var]
            async for group in grouped(pieces, STREAM_INTERVAL_S):
                yield group

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        return await self._ready().count_tokens(texts)

    async def cancel(self, request_id: str) -> None:
        await self._ready().cancel(request_id)

    async def health(self) -> StageHealth:
        if self._engine is None:
            return StageHealth(stage="generator", ok=True, detail="Switched off by the operator.")
        return await self._engine.health()

    async def check_health(self) -> None:
        """An engine that no longer moves is replaced, with the replica around it."""
        if self._engine is not None and not self._engine.is_alive():
            raise RuntimeError((await self.health()).detail)

    async def __del__(self) -> None:
        if self._engine is not None:
            await self._engine.close()

    def _ready(self) -> Engine:
        if self._engine is None:
            raise ModelUnavailable("The language model is switched off on this server.")
        return self._engine


GeneratorDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(Generator)


def _load(profile: ModelProfile) -> Engine:
    if profile.remote is not None:
        return RemoteEngine(profile, profile.remote, EngineConfig())
    # torch and transformers take seconds to import; only the replica that computes pays for them.
    from deployments.generator.transformers_engine import TransformersEngine

    return TransformersEngine(profile, EngineConfig())


async def grouped(pieces: AsyncIterator[TokenChunk | Generation], interval_s: float) -> AsyncIterator[Pieces]:
    """The first piece at once, then at most one group per interval; the end flushes."""
    group: Pieces = []
    last = float("-inf")
    async for piece in pieces:
        group.append(piece)
        now = time.monotonic()
        if now - last >= interval_s:
            yield group
            group, last = [], now
    if group:
        yield group
