"""Clients that vanish, send a byte at a time, read nothing or close one side: others do not notice."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from serve_app.contracts import TokenChunk
from tests.faults_support import (
    COUNT,
    ENDLESS,
    active_sequences,
    asked,
    generator,
    load,
    long_request,
    until,
    until_ready,
    until_statements,
)
from tests.serve_support import CONCURRENT, HEADER_AND_BODY_S, Graph

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

# Above the kernel's buffer of a connection that takes as little as it may.
LARGE = {
    "sql": "SELECT a.*, b.description AS more FROM expenses a "
    "CROSS JOIN (SELECT description FROM expenses LIMIT 1) b"
}
# What a socket that nobody reads may hold; the kernel doubles it.
SMALL_BUFFER = 4096


def post(path: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    headers = f"host: x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode() + content


def connected(graph: Graph) -> socket.socket:
    address = urlsplit(graph.url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    made.connect((address.hostname, address.port))
    return made


async def until_idle(http: httpx.AsyncClient) -> None:
    async def is_idle() -> bool:
        return await load(http) == (0, 0)

    await until(is_idle)


async def test_a_client_that_vanishes_stops_its_generation(http: httpx.AsyncClient) -> None:
    await until_ready(http)
    stays, vanishes = (generator().stream(long_request(name, 8000)) for name in ("stays", "vanishes"))
    for stream in (stays, vanishes):
        await anext(stream)
    assert await active_sequences() == 2
    await vanishes.aclose()  # type: ignore[attr-defined]

    async def has_stopped() -> bool:
        return await active_sequences() == 1

    await until(has_stopped)
    # As long as the other, which began before: it was stopped and has not come to its end.
    assert isinstance(await anext(stays), TokenChunk)
    await stays.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["vanishes", "closes its side"])
async def test_a_client_that_is_gone_frees_its_statement_and_its_place(
    http: httpx.AsyncClient, graph: Graph, how: str
) -> None:
    """A client that closes its side after the request counts as gone: HTTP knows no other sign of it."""
    await until_ready(http)
    clients = [connected(graph) for _ in range(CONCURRENT)]
    for client in clients:
        client.sendall(post("/api/sql/run", ENDLESS))
    await until_statements(graph, lambda running: running == CONCURRENT)
    assert (await load(http)).active == CONCURRENT
    for client in clients:
        if how == "vanishes":
            client.close()
        else:
            client.shutdown(socket.SHUT_WR)
    # Within their time limit of 10 s nothing else ends them.
    async with asyncio.timeout(9.0):
        await until_statements(graph, lambda running: running == 0)
        await until_idle(http)
    assert await asked(http, "/api/sql/run", COUNT) == "answered"
    for client in clients:
        client.close()


def dripped(kind: str) -> Iterator[bytes]:
    """A request's bytes one by one, never enough."""
    whole = post("/api/chat", {"query": "x" * 1000, "user_id": "ann"})
    begin = len(whole) - 900 if kind == "body" else 20
    yield whole[:begin]
    for byte in whole[begin:]:
        yield bytes([byte])


async def drip(graph: Graph, kind: str) -> bytes:
    """Send a byte every quarter of a second until the server has had enough; what it said."""
    address = urlsplit(graph.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    said = asyncio.create_task(reader.read())
    with closing(writer):
        for piece in dripped(kind):
            writer.write(piece)
            done, _ = await asyncio.wait([said], timeout=0.25)
            if done:
                break
        return await said


async def test_clients_that_send_a_byte_at_a_time_are_refused_while_others_are_served(
    http: httpx.AsyncClient, graph: Graph
) -> None:
    await until_ready(http)
    slow = [
        asyncio.create_task(drip(graph, kind)) for kind in ("body", "headers") for _ in range(2 * CONCURRENT)
    ]
    for _ in range(5):
        assert await asked(http, "/api/sql/run", COUNT) == "answered"
        assert await load(http) == (0, 0)
    for answer in await asyncio.wait_for(asyncio.gather(*slow), 4 * HEADER_AND_BODY_S + 20):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["error"]["type"] == "invalid_request"


async def test_clients_that_never_read_hold_no_place(http: httpx.AsyncClient, graph: Graph) -> None:
    """How long they may hold their connection: `test_http_protocol.py`."""
    await until_ready(http)
    await until_idle(http)
    clients = [connected(graph) for _ in range(CONCURRENT)]
    for client in clients:
        client.sendall(post("/api/sql/run", LARGE))
    for client in clients:
        client.settimeout(30)
        assert await asyncio.to_thread(client.recv, 17) == b"HTTP/1.1 200 OK\r\n"
    await until_idle(http)
    assert await asked(http, "/api/sql/run", COUNT) == "answered"
    for client in clients:
        client.close()
