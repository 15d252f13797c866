"""The schema snapshot, read at most once per validity period, and by one reader at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from serve_app.contracts import SchemaSnapshot


class SchemaCache:
    """Keeps the last snapshot for ``ttl_s`` seconds; concurrent callers share one reading."""

    def __init__(
        self,
        read: Callable[[], Awaitable[SchemaSnapshot]],
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._ttl_s = ttl_s
        self._clock = clock
        self._reading = asyncio.Lock()
        self._snapshot: SchemaSnapshot | None = None
        # When the reading of the current snapshot began: changes before that instant are in it.
        self._read_at = float("-inf")
        self._reads_begun = 0
        self._snapshot_read = 0

    async def get(self, refresh: bool = False) -> SchemaSnapshot:
        """The snapshot; ``refresh`` demands one whose reading began after this call."""
        begun_before = self._reads_begun
        async with self._reading:
            if self._snapshot is not None:
                asked_before = self._snapshot_read > begun_before
                if asked_before or (not refresh and self._clock() - self._read_at < self._ttl_s):
                    return self._snapshot
            self._reads_begun += 1
            started = self._clock()
            snapshot = await self._read()
            self._snapshot, self._read_at, self._snapshot_read = snapshot, started, self._reads_begun
            return snapshot

    def age_s(self) -> float | None:
        return None if self._snapshot is None else self._clock() - self._read_at
