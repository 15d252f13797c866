"""The schema as each caller may see it, asked for again after its time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from serve_app.contracts import Caller, SchemaSnapshot

# What the caller with these rights may see; with None all that the database shows, for checks alone.
SchemaSource = Callable[[Caller | None], Awaitable[SchemaSnapshot]]

# Pairs of policy and organization whose schema is kept; the least recently used ones are asked for again.
MOST_KEPT = 64


@dataclass
class _Kept:
    """The last schema of a pair of policy and organization."""

    schema: SchemaSnapshot | None = None
    fetched_at: float = float("-inf")
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class CallerSchemas:
    """Schemas by policy and organization; callers with the same rights share one reading."""

    def __init__(
        self, source: SchemaSource, reuse_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._reuse_s = reuse_s
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str | None] | None, _Kept] = OrderedDict()

    async def of(self, caller: Caller | None) -> SchemaSnapshot:
        """The schema, at most ``reuse_s`` seconds old. Raises what the source raises."""
        kept = self._entry(caller)
        async with kept.fetching:
            # Whoever waited for the lock finds the snapshot that the one before has fetched.
            if kept.schema is None or not self._is_fresh(kept):
                kept.schema = await self._source(caller)
                kept.fetched_at = self._clock()
            return kept.schema

    def is_at_hand(self, caller: Caller | None) -> bool:
        """Whether the schema would not be asked for."""
        return self._is_fresh(self._entry(caller))

    def _entry(self, caller: Caller | None) -> _Kept:
        key = None if caller is None else (caller.policy, caller.organization_id)
        kept = self._kept.setdefault(key, _Kept())
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept

    def _is_fresh(self, kept: _Kept) -> bool:
        return kept.schema is not None and self._clock() - kept.fetched_at < self._reuse_s
