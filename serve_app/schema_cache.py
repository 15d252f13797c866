"""The schema snapshot, read at most once per validity period, and by one reader at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from serve_app.contracts import SchemaSnapshot


class SchemaCache:
    """Keeps the last snapshot for ``ttl_s`` seconds; concurrent callers share one reading, or its failure."""

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
        self._task: asyncio.Task[None] | None = None
        self._snapshot: SchemaSnapshot | None = None
        self._failure: Exception | None = None
        # When the reading of the current snapshot began: changes before that instant are in it.
        self._read_at = float("-inf")
        self._is_expired = False
        self._reads_begun = 0
        self._snapshot_read = 0
        self._failed_read = 0

    async def get(self, refresh: bool = False) -> SchemaSnapshot:
        """The snapshot; ``refresh`` demands one whose reading began after this call.

        Raises:
            PlumblineError: what the reading raises.
        """
        begun_before = self._reads_begun
        async with self._reading:
            while True:
                if self._snapshot is not None:
                    asked_before = self._snapshot_read > begun_before
                    if asked_before or (not refresh and self.is_fresh()):
                        return self._snapshot
                # Else those who wait for a database that is silent would each wait for it in turn.
                if self._failure is not None and self._failed_read > begun_before:
                    raise self._failure
                if self._task is None or self._task.done():
                    self._reads_begun += 1
                    self._task = asyncio.create_task(self._load(self._reads_begun))
                # A reading outlives whoever waits for it: one that takes longer than anybody waits is
                # there for the next.
                await asyncio.wait({self._task})

    async def _load(self, number: int) -> None:
        self._is_expired = False
        started = self._clock()
        try:
            snapshot = await self._read()
        except Exception as error:
            self._failure, self._failed_read = error, number
            self._is_expired = True
        else:
            self._snapshot, self._read_at, self._snapshot_read = snapshot, started, number
            self._failure = None

    @property
    def last(self) -> SchemaSnapshot | None:
        """The last snapshot, however old."""
        return self._snapshot

    def is_fresh(self) -> bool:
        """Whether `get` would give the last snapshot."""
        return (
            self._snapshot is not None
            and not self._is_expired
            and self._clock() - self._read_at < self._ttl_s
        )

    def expire(self) -> None:
        """Have the next `get` read again."""
        self._is_expired = True

    def age_s(self) -> float | None:
        return None if self._snapshot is None else self._clock() - self._read_at
