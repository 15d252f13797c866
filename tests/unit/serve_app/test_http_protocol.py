"""A real server on the loopback interface, and clients that write what no HTTP library would."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from executor_helpers import wait_until
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from serve_app import http_protocol
from serve_app.http_protocol import FEWEST_TAKEN_BYTES, BoundedHttpProtocol
from serve_app.settings.edge import EdgeSettings

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
FINE = PlainTextResponse("fine")
# More than the kernel buffers of both ends of a connection hold.
LARGE = 64 * 1024 * 1024


@asynccontextmanager
async def served(app: ASGIApp = FINE, **bounds: Any) -> AsyncIterator[int]:
    protocol = type("Protocol", (BoundedHttpProtocol,), {"bounds": EdgeSettings(**bounds)})
    config = uvicorn.Config(app, port=0, http=protocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def ask(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Write the pieces and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def refusal_of(answer: bytes) -> tuple[int, str]:
    """Status and message of a refusal, which must have the documented shape and headers."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert "connection: close" in lines
    assert "x-content-type-options: nosniff" in lines
    error = json.loads(body)["error"]
    assert error["type"] in ("invalid_request", "overloaded")
    return int(lines[0].split()[1]), error["message"]


async def test_an_ordinary_request_passes() -> None:
    async with served() as port:
        assert (await ask(port, GET + b"connection: close\r\n\r\n")).endswith(b"fine")
        split = [bytes([byte]) for byte in GET + b"connection: close\r\n\r\n"]
        assert (await ask(port, *split)).endswith(b"fine")


@pytest.mark.parametrize("begin", [b"", b"GET / HT", GET])
async def test_headers_that_never_end_are_ended(begin: bytes) -> None:
    async with served(header_timeout_s=0.2) as port:
        status, message = refusal_of(await ask(port, begin))
    assert (status, "0.2 seconds" in message) == (408, True)


async def test_a_header_byte_at_a_time_does_not_renew_the_time() -> None:
    async with served(header_timeout_s=0.2) as port:
        answer = await ask(port, GET, *[b"a"] * 30, pause_s=0.02)
    assert answer == b"" or refusal_of(answer)[0] == 408


@pytest.mark.parametrize(
    "pieces",
    [
        (GET + b"x: " + b"a" * 2000 + b"\r\n\r\n",),
        (GET, b"x: ", *[b"a" * 300] * 20),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",),
        (GET + b"".join(b"x%d: a\r\n" % i for i in range(20)) + b"\r\n",),
    ],
    ids=["one large header", "an endless header", "a long path", "many headers"],
)
async def test_large_headers_are_refused(pieces: tuple[bytes, ...]) -> None:
    async with served(max_header_bytes=1024, max_headers=8) as port:
        answer = await ask(port, *pieces)
    # A client that writes on after the refusal may lose it with the connection.
    assert refusal_of(answer)[0] == 431 if answer else len(pieces) > 1


async def test_what_is_no_http_is_told_so_in_the_documented_shape() -> None:
    async with served() as port:
        assert refusal_of(await ask(port, b"\x16\x03\x01 hello\r\n\r\n"))[0] == 400


async def test_connections_beyond_the_bound_are_refused_and_those_within_go_on() -> None:
    async with served(max_connections=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200")
        answer = await ask(port)
        assert refusal_of(answer)[0] == 503
        assert b"retry-after: 5" in answer
        writer.write(GET + b"connection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"fine")
        writer.close()
        await asyncio.sleep(0.05)
        assert (await ask(port, GET + b"connection: close\r\n\r\n")).endswith(b"fine")


class Answers:
    """An app with a large answer, whole or as a stream without end; counts those at work."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at_work += 1
        try:
            await self._response()(scope, receive, send)
        finally:
            self.at_work -= 1

    def _response(self) -> PlainTextResponse | StreamingResponse:
        return PlainTextResponse(b"x" * LARGE) if self.kind == "whole" else StreamingResponse(self._endless())

    async def _endless(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            # To a client that is gone, writing waits for nothing.
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["whole", "stream"])
@pytest.mark.parametrize("header", [b"", b"connection: close\r\n"])
async def test_a_client_that_never_reads_is_cut_off(kind: str, header: bytes) -> None:
    app = Answers(kind)
    async with served(app, write_timeout_s=0.2, max_connections=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GET + header + b"\r\n")
        await reader.readexactly(1)

        async def is_free() -> bool:
            return app.at_work == 0 and not (await ask(port, b"no HTTP\r\n")).startswith(b"HTTP/1.1 503")

        await wait_until(is_free)
        writer.transport.abort()


class Transport(asyncio.Transport):
    """Stands for a connection whose client takes what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.left

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        pass


async def test_a_client_that_reads_slowly_is_not_cut_off_before_it_stands_still() -> None:
    config = uvicorn.Config(FINE, ws="none", lifespan="off", log_config=None)
    config.load()
    protocol = BoundedHttpProtocol(config, ServerState(), {})
    transport = Transport()
    protocol.connection_made(transport)
    transport.left = 100_000
    protocol.pause_writing()
    for transport.left in (80_000, 60_000, 43_616):
        protocol._check_reader()
        assert not transport.aborted
    transport.left -= FEWEST_TAKEN_BYTES - 1
    protocol._check_reader()
    assert transport.aborted
    protocol.connection_lost(None)


def test_servers_of_the_process_take_the_bounded_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "bounds", EdgeSettings())
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "")
    http_protocol.bound_connections(EdgeSettings(max_headers=9))
    config = uvicorn.Config(PlainTextResponse("fine"), log_config=None)
    config.load()
    assert config.http_protocol_class is BoundedHttpProtocol
    assert BoundedHttpProtocol.bounds.max_headers == 9
