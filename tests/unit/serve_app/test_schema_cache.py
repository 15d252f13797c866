"""One reading at a time, shared by those who wait for it."""

import asyncio
from datetime import UTC, datetime

import pytest

from serve_app.contracts import SchemaSnapshot
from serve_app.errors import DatabaseUnavailable
from serve_app.schema_cache import SchemaCache


class Source:
    """Counts its readings; each waits until ``release`` is set."""

    def __init__(self) -> None:
        self.readings = 0
        self.down = False
        self.release = asyncio.Event()

    async def read(self) -> SchemaSnapshot:
        self.readings += 1
        number = self.readings
        await self.release.wait()
        if self.down:
            raise DatabaseUnavailable
        return SchemaSnapshot(tables=(), fingerprint=str(number), taken_at=datetime.now(UTC))


async def test_concurrent_callers_share_one_reading() -> None:
    source = Source()
    cache = SchemaCache(source.read, ttl_s=60.0)
    calls = [asyncio.create_task(cache.get()) for _ in range(20)]
    await asyncio.sleep(0)
    source.release.set()
    assert {snapshot.fingerprint for snapshot in await asyncio.gather(*calls)} == {"1"}


async def test_a_refresh_is_not_served_by_a_reading_begun_before_it() -> None:
    source = Source()
    cache = SchemaCache(source.read, ttl_s=60.0)
    first = asyncio.create_task(cache.get())
    await asyncio.sleep(0)
    refreshes = [asyncio.create_task(cache.get(refresh=True)) for _ in range(5)]
    await asyncio.sleep(0)
    source.release.set()
    assert (await first).fingerprint == "1"
    assert {snapshot.fingerprint for snapshot in await asyncio.gather(*refreshes)} == {"2"}


async def test_a_failed_reading_is_told_and_tried_again() -> None:
    source = Source()
    source.release.set()
    cache = SchemaCache(source.read, ttl_s=0.0)
    assert cache.age_s() is None
    await cache.get()
    source.down = True
    with pytest.raises(DatabaseUnavailable):
        await cache.get()
    source.down = False
    assert (await cache.get()).fingerprint == "3"
    assert cache.age_s() is not None


async def test_a_reading_outlives_its_reader() -> None:
    """Else one that takes longer than anybody waits would begin anew with every question."""
    source = Source()
    cache = SchemaCache(source.read, ttl_s=60.0)
    first, second = (asyncio.create_task(cache.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    source.release.set()
    assert (await second).fingerprint == "1"
    assert first.cancelled()
    assert (await cache.get()).fingerprint == "1"


async def test_a_refresh_waits_for_a_reading_that_was_left_and_reads_again() -> None:
    source = Source()
    cache = SchemaCache(source.read, ttl_s=60.0)
    left = asyncio.create_task(cache.get())
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})
    refresh = asyncio.create_task(cache.get(refresh=True))
    await asyncio.sleep(0)
    source.release.set()
    assert (await refresh).fingerprint == "2"
