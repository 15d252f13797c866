"""Server-sent events as bytes, with a comment while nothing happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

# Ignored by clients; it keeps proxies from closing a silent connection, and finds clients that are gone.
KEEP_ALIVE = b": keep-alive\n\n"

Pair = tuple[str, str]


def sse_event(name: str, data: str) -> bytes:
    """One event; ``data`` is JSON and so has no line breaks."""
    return f"event: {name}\ndata: {data}\n\n".encode()


async def sse_bytes(first: Pair, rest: AsyncIterator[Pair], keep_alive_s: float) -> AsyncIterator[bytes]:
    """``first`` and the rest as events, a comment after every ``keep_alive_s`` of silence.

    Closing it closes ``rest`` too: a client that hangs up ends its question at once.
    """
    # One task reads all of the rest: a wait that runs out must not end the generator it waits for.
    queue: asyncio.Queue[Pair | None] = asyncio.Queue(maxsize=64)
    reader = asyncio.create_task(_read(rest, queue))
    try:
        yield sse_event(*first)
        while True:
            try:
                async with asyncio.timeout(keep_alive_s):
                    pair = await queue.get()
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            if pair is None:
                break
            yield sse_event(*pair)
        await reader
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(rest: AsyncIterator[Pair], queue: asyncio.Queue[Pair | None]) -> None:
    try:
        async with aclosing(rest) as pairs:  # type: ignore[type-var]
            async for pair in pairs:
                await queue.put(pair)
    finally:
        # A reader that was cancelled has nobody left to tell.
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            await queue.put(None)
