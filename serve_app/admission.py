"""How many questions one ingress replica works on at once, and how many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve_app.errors import Overloaded


class Admission:
    """First come, first served: ``limit`` at work, ``queue_limit`` waiting, the rest refused at once."""

    def __init__(self, limit: int, queue_limit: int, retry_after_s: float) -> None:
        self._places = asyncio.Semaphore(limit)
        self._limit = limit
        self._queue_limit = queue_limit
        self._retry_after_s = retry_after_s
        self.active = 0
        self.waiting = 0

    @asynccontextmanager
    async def place(self, patience_s: float) -> AsyncIterator[None]:
        """Hold a place while the block runs.

        Raises:
            Overloaded: as many questions wait as may, or none got done within ``patience_s``.
        """
        if self.active + self.waiting >= self._limit + self._queue_limit:
            raise Overloaded(retry_after_s=self._retry_after_s)
        self.waiting += 1
        try:
            async with asyncio.timeout(patience_s):
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded(retry_after_s=self._retry_after_s) from None
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            self._places.release()
