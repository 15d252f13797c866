"""How many requests run at an endpoint at once, and how many wait for their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deployments.generator.engine_config import EngineConfig
from serve_app.errors import Overloaded

RETRY_AFTER_S = 1.0


class Slots:
    """First come, first served; the limits may change while it is used."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.running = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises Overloaded when too many wait already."""
        if self.running >= self.config.max_batch_size or self._waiting:
            await self._turn()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self.wake()

    def wake(self) -> None:
        """Let as many go on as may."""
        called = sum(turn.done() for turn in self._waiting)
        free = self.config.max_batch_size - self.running - called
        for turn in [turn for turn in self._waiting if not turn.done()][: max(free, 0)]:
            turn.set_result(None)

    async def _turn(self) -> None:
        if len(self._waiting) >= self.config.max_queued_requests:
            raise Overloaded(retry_after_s=RETRY_AFTER_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.wake()
        try:
            await turn
        except asyncio.CancelledError:
            # Called and gone at the same moment: the next one gets the turn.
            self._waiting.remove(turn)
            self.wake()
            raise
        self._waiting.remove(turn)
