"""Connections to the target database: opened when needed, replaced when the database comes back."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from deployments.executor.config import ExecutorConfig
from deployments.executor.failures import DRIVER_FAILURES, as_plumbline_error, is_interruption, is_loss
from deployments.executor.formatting import json_text
from deployments.executor.metering import MeteredConnection, meter_of
from deployments.executor.temporal import (
    iso_date,
    iso_instant,
    iso_interval,
    iso_time,
    iso_time_with_zone,
    iso_timestamp,
)
from serve_app.errors import DatabaseUnavailable, Overloaded, PermissionDenied

PooledConnection = asyncpg.pool.PoolConnectionProxy

logger = logging.getLogger("plumbline.executor")

APPLICATION_NAME = "plumbline"
# Health and schema never wait behind queries, nor queries behind interrupted ones still being closed.
CONNECTIONS_PER_QUERY, SPARE_CONNECTIONS = 2, 1
DISCARD_TIMEOUT_S = 5.0
# The server's own limit on a transaction comes first; this one is for a server that says nothing any more.
SILENCE_MARGIN_S = 0.5
# Every organization has a pool of its own; together their idle connections must leave the server room.
IDLE_S = 60.0
NO_ORGANIZATION_LOGIN = (
    "Your organization is not set up on this server, so there is no data to show. Ask your administrator."
)
TRANSACTION_TIMEOUT_VERSION = (17, 0)


class ConnectionPool:
    """Hands out read-only transactions; a pool that lost its server is built anew on the next use."""

    def __init__(
        self,
        dsn: str,
        config: ExecutorConfig,
        passfile: Path | None = None,
        is_organization: bool = False,
    ) -> None:
        """``passfile``: libpq's password file, for a DSN without a password.

        ``is_organization``: the login is one organization's; whether it exists is its caller's affair.
        """
        self._dsn = dsn
        self._config = config
        self._passfile = passfile
        self._is_organization = is_organization
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self._retired: set[PooledConnection] = set()
        self._unstopped = 0

    @contextlib.asynccontextmanager
    async def transaction(self, timeout_s: float) -> AsyncIterator[PooledConnection]:
        """A connection inside a READ ONLY transaction with every limit set; always rolled back.

        After a timeout or a cancellation the statement is cancelled on the server and the connection closed.

        Raises:
            DatabaseUnavailable: the database cannot be reached, or says nothing.
            Overloaded: it takes no more connections.
            PermissionDenied: the login is an organization's, and the server knows no such role.
            TimeoutError: it stopped answering on the way.
        """
        lease = await self._begin(timeout_s)
        try:
            async with asyncio.timeout(self._longest_s(timeout_s) + SILENCE_MARGIN_S):
                yield lease.connection
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not is_interruption(error):
                await self._give_back(lease)
            else:
                self._spawn(self._discard(lease))
            if is_loss(error):
                self._drop(lease.pool)
            raise
        else:
            if lease.connection in self._retired:
                self._spawn(self._discard(lease))
            else:
                await self._give_back(lease)
        finally:
            self._retired.discard(lease.connection)

    def retire(self, connection: PooledConnection) -> None:
        """Close the connection at the end of its transaction: a statement on it was interrupted."""
        self._retired.add(connection)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await self._close(pool)
        await asyncio.gather(*self._background, return_exceptions=True)

    def close_later(self) -> None:
        """Close without waiting: what still runs on its connections ends first, by its own limits."""
        if self._pool is not None:
            self._drop(self._pool)

    def figures(self) -> dict[str, int]:
        pool = self._pool
        return {
            "connections": pool.get_size() if pool else 0,
            "idle_connections": pool.get_idle_size() if pool else 0,
            "unstopped_statements": self._unstopped,
        }

    async def _begin(self, timeout_s: float) -> "Lease":
        """Begin a transaction; a connection found dead is replaced once, since nothing ran on it yet."""
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                # One that is silent is dead as well; half of the time is left for a new one.
                for patience_s in (self._config.connect_timeout_s / 2, None):
                    lease = await self._begun(timeout_s, patience_s)
                    if lease is not None:
                        return lease
        except TimeoutError as error:
            self.close_later()
            raise DatabaseUnavailable(detail="the database says nothing") from error
        raise DatabaseUnavailable(detail="two connections were found dead")

    async def _begun(self, timeout_s: float, patience_s: float | None) -> "Lease | None":
        """A connection in its transaction; None if the one that was tried is dead."""
        lease = await self._acquire()
        try:
            async with asyncio.timeout(patience_s):
                await lease.transaction.start()
                meter_of(lease.connection).allow_all()
                await self._set_limits(lease.connection, timeout_s)
        except BaseException as error:
            self._spawn(self._discard(lease))
            if not is_loss(error) and not isinstance(error, TimeoutError):
                raise
            self._drop(lease.pool)
            return None
        return lease

    async def _acquire(self) -> "Lease":
        pool = await self._current()
        try:
            connection = await pool.acquire()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            # asyncpg reads the DSN only now, and answers some malformed ones with a ValueError.
            if not isinstance(error, asyncpg.PostgresError) or is_loss(error):
                self._drop(pool)
            refused = isinstance(error, asyncpg.InvalidAuthorizationSpecificationError)
            if self._is_organization and refused:
                raise PermissionDenied(NO_ORGANIZATION_LOGIN, detail=type(error).__name__) from error
            failure = as_plumbline_error(error)
            if isinstance(failure, Overloaded):
                raise failure from error
            raise DatabaseUnavailable(detail=f"{type(error).__name__}: {error}") from error
        return Lease(pool, connection, connection.transaction(readonly=True), connection.get_server_pid())

    async def _set_limits(self, connection: PooledConnection, timeout_s: float) -> None:
        """Set every limit for this transaction alone, so that it also works behind a transaction pooler."""
        config = self._config
        settings = {
            "statement_timeout": milliseconds(timeout_s),
            "lock_timeout": milliseconds(min(config.lock_timeout_s, timeout_s)),
            "idle_in_transaction_session_timeout": milliseconds(config.idle_in_transaction_timeout_s),
            "jit": "off",
            "max_parallel_workers_per_gather": "0",
            "search_path": f'"{config.introspection.schema_name}"',
            "standard_conforming_strings": "on",
            "timezone": config.time_zone,
            "application_name": APPLICATION_NAME,
        }
        version = connection.get_server_version()
        if (version.major, version.minor) >= TRANSACTION_TIMEOUT_VERSION:
            settings["transaction_timeout"] = milliseconds(self._longest_s(timeout_s))
        calls = ", ".join(f"set_config(${2 * i + 1}, ${2 * i + 2}, true)" for i in range(len(settings)))
        await connection.fetchrow(f"SELECT {calls}", *[text for pair in settings.items() for text in pair])

    def _longest_s(self, timeout_s: float) -> float:
        """Time limit of a whole transaction; only a fault comes to it."""
        return timeout_s + self._config.count_timeout_s + DISCARD_TIMEOUT_S

    async def _current(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                try:
                    self._pool = await asyncpg.create_pool(
                        self._dsn,
                        min_size=0,
                        max_size=self._config.max_concurrent_queries * CONNECTIONS_PER_QUERY
                        + SPARE_CONNECTIONS,
                        connection_class=MeteredConnection,
                        max_inactive_connection_lifetime=IDLE_S,
                        passfile=str(self._passfile) if self._passfile else None,
                        statement_cache_size=0,
                        timeout=self._config.connect_timeout_s,
                        init=functools.partial(set_decoders, time_zone=self._config.time_zone),
                    )
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
                    raise DatabaseUnavailable(detail=f"{type(error).__name__}: {error}") from error
            return self._pool

    def _drop(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        if self._pool is pool:
            self._pool = None
            # What still runs on its other connections ends by its own limits.
            self._spawn(self._close(pool, self._longest_s(self._config.statement_timeout_s)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _close(self, pool: "asyncpg.Pool[asyncpg.Record]", wait_s: float = DISCARD_TIMEOUT_S) -> None:
        try:
            await asyncio.wait_for(pool.close(), wait_s)
        except DRIVER_FAILURES:
            pool.terminate()

    async def _give_back(self, lease: "Lease") -> None:
        """Roll back and return to the pool, or discard if that fails; shielded, so that a cancellation cannot
        leave a transaction open."""
        await asyncio.shield(self._spawn(self._roll_back(lease)))

    async def _roll_back(self, lease: "Lease") -> None:
        try:
            await asyncio.wait_for(lease.transaction.rollback(), DISCARD_TIMEOUT_S)
            await lease.pool.release(lease.connection, timeout=DISCARD_TIMEOUT_S)
        except DRIVER_FAILURES:
            await self._discard(lease)

    async def _discard(self, lease: "Lease") -> None:
        """Close the connection once the cancel request, which asyncpg sends by itself, is through."""
        try:
            await lease.connection.close(timeout=DISCARD_TIMEOUT_S)
        except DRIVER_FAILURES as error:
            if isinstance(error, TimeoutError):
                self._tell_unstopped(lease.backend_pid)
            logger.info("connection closed hard", extra={"cause": type(error).__name__})
            with contextlib.suppress(asyncpg.InterfaceError):
                lease.connection.terminate()
        with contextlib.suppress(*DRIVER_FAILURES):
            await lease.pool.release(lease.connection)

    def _tell_unstopped(self, backend_pid: int) -> None:
        """Some of PostgreSQL's functions never look for a cancellation; only its operator can end them."""
        self._unstopped += 1
        logger.error(
            "the database did not stop a cancelled statement; its process may go on and use a processor",
            extra={"backend_pid": backend_pid, "waited_s": DISCARD_TIMEOUT_S},
        )


@dataclass(frozen=True)
class Lease:
    """A connection out of its pool, with the transaction on it."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    connection: PooledConnection
    transaction: "asyncpg.transaction.Transaction"
    backend_pid: int


def milliseconds(seconds: float) -> str:
    # 0 would switch the limit off.
    return str(max(1, round(seconds * 1000)))


async def set_decoders(connection: "asyncpg.Connection[asyncpg.Record]", time_zone: str) -> None:
    """Replace the driver's decoders that lose or refuse values. Such values are only ever received."""
    zone = ZoneInfo(time_zone)
    temporal: dict[str, Callable[[Any], str]] = {
        "date": iso_date,
        "time": iso_time,
        "timetz": iso_time_with_zone,
        "timestamp": iso_timestamp,
        "timestamptz": lambda fields: iso_instant(fields, zone),
        "interval": iso_interval,
    }
    for name, decoder in temporal.items():
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=str, decoder=decoder, format="tuple"
        )
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=str, decoder=json_text, format="text"
        )
