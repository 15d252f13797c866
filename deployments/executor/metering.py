"""Bounds what the server may send for one statement, before the driver turns it into Python objects.

The row limits bound the number of rows and not the size of one: an aggregate can make a single value of a
hundred megabytes, and decoding it would hold up every other statement of the process for seconds.
"""

import asyncio
import math
from typing import Any, cast

import asyncpg

# Rows as JSON and on the wire differ: a small number takes two bytes there and eight here. The addition is
# for what else is said, such as the plan.
WIRE_BYTES_PER_JSON_BYTE, WIRE_BYTES_BESIDE = 2, 1_000_000


class ResultTooWide(Exception):
    """The rows took more bytes than allowed; the connection is closed."""


class Meter(asyncio.Protocol):
    """Stands between a connection's transport and asyncpg's protocol; closes it if too much comes."""

    def __init__(self, protocol: Any, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self._left: float = math.inf
        self.exceeded = False

    def allow_rows(self, json_bytes: int) -> None:
        """From now on at most what rows of so many bytes, as JSON, can take."""
        self._left = json_bytes * WIRE_BYTES_PER_JSON_BYTE + WIRE_BYTES_BESIDE

    def allow_all(self) -> None:
        self._left = math.inf

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._protocol.data_received(data)
        elif not self.exceeded:
            self.exceeded = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return cast(bool | None, self._protocol.eof_received())

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class MeteredConnection(asyncpg.Connection):
    """An asyncpg connection with a meter; `meter_of` gives it."""

    __slots__ = ("meter",)

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.meter = Meter(protocol, transport)
        transport.set_protocol(self.meter)


def meter_of(connection: Any) -> Meter:
    """The meter of a `MeteredConnection`, also of one out of a pool."""
    return cast(Meter, connection.meter)
