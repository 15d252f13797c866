import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from serve_app.sse import KEEP_ALIVE, sse_bytes

FIRST = ("stage", "{}")


async def test_silence_is_filled_with_comments_and_loses_no_event() -> None:
    go_on = asyncio.Event()

    async def rest() -> AsyncIterator[tuple[str, str]]:
        await go_on.wait()
        yield "rows", "1"
        yield "done", "2"

    seen: list[bytes] = []
    async for piece in sse_bytes(FIRST, rest(), keep_alive_s=0.01):
        seen.append(piece)
        if seen.count(KEEP_ALIVE) == 3:
            go_on.set()
    assert seen[0] == b"event: stage\ndata: {}\n\n"
    assert seen.count(KEEP_ALIVE) >= 3
    assert [s for s in seen[1:] if s != KEEP_ALIVE] == [
        b"event: rows\ndata: 1\n\n",
        b"event: done\ndata: 2\n\n",
    ]


async def test_a_client_that_hangs_up_closes_what_is_behind() -> None:
    closed = asyncio.Event()

    async def rest() -> AsyncIterator[tuple[str, str]]:
        try:
            await asyncio.Event().wait()
            yield FIRST
        finally:
            closed.set()

    async with aclosing(sse_bytes(FIRST, rest(), keep_alive_s=0.01)) as pieces:  # type: ignore[type-var]
        assert await anext(pieces) != KEEP_ALIVE
        assert await anext(pieces) == KEEP_ALIVE
    assert closed.is_set()


async def test_a_bug_behind_the_stream_is_not_swallowed() -> None:
    async def rest() -> AsyncIterator[tuple[str, str]]:
        yield FIRST
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        async for _ in sse_bytes(FIRST, rest(), keep_alive_s=1.0):
            pass
