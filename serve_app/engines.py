"""The engines of a cascade behind one `Generator`: each request names the one that it is for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from serve_app.contracts import Generation, GenerationRequest, StageHealth, TokenChunk
from serve_app.errors import PlumblineError
from serve_app.stages import Generator

STAGE = "generator"
# An engine that does not say how it is within this long counts as down; below the whole stage's limit.
HEALTH_TIMEOUT_S = 4.0


def one_generator(generators: Mapping[str, Generator]) -> Generator:
    """The only generator itself, or a cascade of several."""
    return GeneratorCascade(generators) if len(generators) > 1 else next(iter(generators.values()))


class GeneratorCascade:
    """Sends each request to its engine. The stage serves as long as one engine does."""

    def __init__(self, generators: Mapping[str, Generator]) -> None:
        """``generators`` by name, in the order of the cascade; requests without a name go to the first."""
        self._generators = dict(generators)
        self._first = next(iter(self._generators.values()))

    async def generate(self, request: GenerationRequest) -> Generation:
        return await self._of(request).generate(request)

    async def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        async with aclosing(self._of(request).stream(request)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        return await self._first.count_tokens(texts)

    async def cancel(self, request_id: str) -> None:
        await asyncio.gather(*(generator.cancel(request_id) for generator in self._generators.values()))

    async def health(self) -> StageHealth:
        """Each engine's state among the figures, as ``<engine>.ok``, ``<engine>.detail`` and so on."""
        names = list(self._generators)
        healths = await asyncio.gather(*(_health(generator) for generator in self._generators.values()))
        down = [name for name, health in zip(names, healths, strict=True) if not health.ok]
        figures: dict[str, float | int | str | bool | None] = {}
        for name, health in zip(names, healths, strict=True):
            told = {"ok": health.ok, "detail": health.detail, **health.figures}
            figures |= {f"{name}.{key}": value for key, value in told.items()}
        detail = f"Not serving: {', '.join(down)}." if down else f"All {len(names)} engines are ready."
        return StageHealth(stage=STAGE, ok=len(down) < len(names), detail=detail, figures=figures)

    def _of(self, request: GenerationRequest) -> Generator:
        return self._generators.get(request.engine, self._first)


async def _health(generator: Generator) -> StageHealth:
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            return await generator.health()
    except TimeoutError:
        return StageHealth(stage=STAGE, ok=False, detail=f"No reply within {HEALTH_TIMEOUT_S:g} s.")
    except PlumblineError as error:
        return StageHealth(stage=STAGE, ok=False, detail=error.message)
