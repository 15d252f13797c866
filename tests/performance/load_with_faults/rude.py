"""Clients that keep to no rules: what is no request, too much, too slow, or never finished."""

import asyncio
import contextlib
import json
import time
from random import Random
from urllib.parse import urlsplit

from tests.performance.load_with_faults.client import LONGEST_S, Client
from tests.performance.load_with_faults.judge import Seen
from tests.performance.load_with_faults.ledger import Ledger

REFUSED = {"invalid_request"}
# Beyond limits.max_body_bytes.
TOO_LARGE = 200_000
SLOW_BYTE_S = 1.0
MALFORMED = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"query": 5, "user_id": "me"}',
    b'{"query": "", "user_id": "me"}',
    b'{"query": "spend?", "user_id": "me", "extra": 1}',
    b'{"query": "spend?"}',
    b'{"query": "\\ud800", "user_id": "me"}',
    b"\xff\xfe\x00",
    b"[" * 5000,
)


async def malformed(client: Client, rng: Random) -> None:
    body = rng.choice(MALFORMED)
    call = rng.choice(("chat", "stream", "sql_run", "feedback", "clear"))
    await client.send("malformed body", call, REFUSED, body=body)


async def oversized(client: Client, rng: Random) -> None:
    body = {"query": "x" * TOO_LARGE, "user_id": client.name}
    await client.send("oversized body", rng.choice(("chat", "sql_validate")), REFUSED, body=body)


async def wrong_address(client: Client, rng: Random) -> None:
    path = rng.choice(("/api/nothing", "/api/chat/", "/%00", "/api/conversations/none/none"))
    await client.send("wrong address", "none", REFUSED, method="GET", path=path)


async def unknown_conversation(client: Client, rng: Random) -> None:
    await client.post(
        "chat",
        "unknown conversation",
        {"conversation_not_found"},
        query="and last year?",
        conversation_id=f"none-{rng.random()}",
    )


async def one_byte_a_second(client: Client, url: str, rng: Random) -> None:
    """Headers or a body without end; the server must close within its own limits, saying why."""
    request = _request(url, {"query": "How much was spent?", "user_id": client.name})
    head = request.index(b"\r\n\r\n") + 4
    at_once = rng.choice((0, head))
    began = time.monotonic()
    answer = b""
    broken: str | None = None
    try:
        reader, writer = await asyncio.open_connection(*_address(url))
    except OSError as error:
        _note(client, "one byte a second", began, b"", type(error).__name__)
        return
    reading = asyncio.create_task(reader.read())
    try:
        writer.write(request[:at_once])
        for byte in request[at_once:]:
            writer.write(bytes([byte]))
            await asyncio.wait({reading}, timeout=SLOW_BYTE_S)
            if reading.done() or time.monotonic() - began > LONGEST_S:
                break
        async with asyncio.timeout(LONGEST_S):
            answer = await reading
    except (OSError, TimeoutError) as error:
        broken = type(error).__name__
    finally:
        reading.cancel()
        await _close(writer)
    _note(client, "one byte a second", began, answer, broken if answer else broken or "no answer")


async def vanish(client: Client, url: str, ledger: Ledger, rng: Random) -> None:
    """Send a question, or a part of it, and go without a word; it may be answered before anyone notices."""
    question = "How much was spent per project?"
    ledger.uncertain(ledger.begin(client.name), question)
    request = _request(url, {"query": question, "user_id": client.name})
    began = time.monotonic()
    try:
        _, writer = await asyncio.open_connection(*_address(url))
    except OSError as error:
        _note(client, "vanishing client", began, b"", type(error).__name__)
        return
    with contextlib.suppress(OSError):
        writer.write(request[: rng.choice((len(request), len(request) - 5, 40))])
        await writer.drain()
        await asyncio.sleep(rng.uniform(0.0, 0.5))
    writer.transport.abort()
    _note(client, "vanishing client", began, b"", None, left=True)


def _note(
    client: Client, kind: str, began: float, answer: bytes, broken: str | None, left: bool = False
) -> None:
    head, _, body = answer.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split()[1]) if answer else None
    seen = Seen(
        "chat",
        # These requests name no id, so that whichever the server gives is its own.
        headers.get("x-request-id", ""),
        began,
        time.monotonic(),
        status,
        headers,
        body,
        broken if not answer else None,
        left,
    )
    client.note(kind, seen, REFUSED | {"hung up"})


def _request(url: str, body: dict[str, str]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /api/chat HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
