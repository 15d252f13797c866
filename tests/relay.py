"""A TCP relay before a server, for what a network does to connections: delay, silence, loss."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 65_536
HOST = "127.0.0.1"


class Relay:
    """Passes bytes on both ways, ``delay_s`` late for each piece, or not at all while ``silent``."""

    def __init__(self, port: int) -> None:
        """``port`` is the server's, on the loopback interface."""
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.delay_s = 0.0
        self.silent = False
        # New connections are closed at once, as by a port where nobody listens.
        self.refusing = False
        self._accepted = 0
        self._forgotten = 0

    def forget_connections(self) -> None:
        """Be silent on what is open now, as a firewall that has forgotten it; new connections are passed."""
        self._forgotten = self._accepted

    def dsn(self, direct: str) -> str:
        """The server's own DSN, through the relay."""
        parts = urlsplit(direct)
        login, _, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}@{HOST}:{self.port}"))

    def reset(self) -> None:
        """End every connection at once, without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        number = self._accepted
        self._writers.add(writer)
        if self.refusing:
            self._end(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            self._end(writer)
            return
        self._writers.add(far_writer)
        await asyncio.gather(self._pass(reader, far_writer, number), self._pass(far_reader, writer, number))

    def _is_silent(self, number: int) -> bool:
        return self.silent or number <= self._forgotten

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, number: int) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not self._is_silent(number):
                    target.write(data)
        # A connection that is gone on one side is told to the other, unless the network is silent.
        if not self._is_silent(number):
            self._end(target)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        with contextlib.suppress(OSError):
            writer.close()


@contextlib.asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    relay = Relay(port)
    server = await asyncio.start_server(relay.serve, HOST, 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.reset()
