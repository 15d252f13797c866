"""Property 12: Within the validity period the schema is not read again from the database."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.contracts import SchemaSnapshot
from serve_app.schema_cache import SchemaCache

pytestmark = pytest.mark.property

TTL_S = 300.0
steps = st.lists(
    st.tuples(st.floats(min_value=0.0, max_value=400.0), st.integers(1, 4), st.booleans()),
    min_size=1,
    max_size=30,
)


class Database:
    """Counts how often the schema is read; the clock moves only when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.read_at: list[float] = []

    async def read(self) -> SchemaSnapshot:
        self.read_at.append(self.now)
        await asyncio.sleep(0)
        return SchemaSnapshot(tables=(), fingerprint=str(len(self.read_at)), taken_at=datetime.now(UTC))


@given(steps)
def test_property_12_schema_caching(steps: list[tuple[float, int, bool]]) -> None:
    """Property 12: any sequence of waits, requests and refreshes reads only what is out of date."""

    async def play() -> None:
        database = Database()
        cache = SchemaCache(database.read, TTL_S, clock=lambda: database.now)
        for wait_s, callers, refresh in steps:
            database.now += wait_s
            before = list(database.read_at)
            due = refresh or not before or database.now - before[-1] >= TTL_S
            snapshots = await asyncio.gather(*(cache.get(refresh) for _ in range(callers)))
            readings = len(database.read_at) - len(before)
            # A refresh asked for during a reading needs one more, which all such share.
            assert readings == due or (refresh and callers > 1 and readings == 2)
            assert int(snapshots[-1].fingerprint) == len(database.read_at)

    asyncio.run(play())
