"""The schema as each caller may see it, asked for again after its time."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial

from serve_app.contracts import Caller, SchemaSnapshot
from serve_app.schema_cache import SchemaCache

# What the caller with these rights may see; with None all that the database shows, for checks alone.
SchemaSource = Callable[[Caller | None], Awaitable[SchemaSnapshot]]

# Pairs of policy and organization whose schema is kept; the least recently used ones are asked for again.
MOST_KEPT = 64


class CallerSchemas:
    """Schemas by policy and organization; callers with the same rights share one reading."""

    def __init__(
        self, source: SchemaSource, reuse_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._reuse_s = reuse_s
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str | None] | None, SchemaCache] = OrderedDict()

    async def of(self, caller: Caller | None) -> SchemaSnapshot:
        """The schema, at most ``reuse_s`` seconds old. Raises what the source raises."""
        return await self._entry(caller).get()

    def is_at_hand(self, caller: Caller | None) -> bool:
        """Whether the schema would not be asked for."""
        return self._entry(caller).is_fresh()

    def forget(self) -> None:
        """Have every schema asked for again."""
        for kept in self._kept.values():
            kept.expire()

    def _entry(self, caller: Caller | None) -> SchemaCache:
        key = None if caller is None else (caller.policy, caller.organization_id)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = SchemaCache(partial(self._source, caller), self._reuse_s, self._clock)
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept
