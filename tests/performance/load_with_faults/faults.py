"""Faults of an instance's parts, one after the other, each followed by the wait until all is ready again."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import asyncpg
import psutil

from serve_app.serve_config import DEPLOYMENTS
from tests.performance.load_with_faults.instance import CONTROLLER, PROXY, Instance, replica_of
from tests.performance.load_with_faults.record import Record

# Between two faults the load meets a whole instance for so long.
CALM_S = (3.0, 8.0)
# A fault that begins later could not recover, and be seen to have recovered, within the run.
LAST_FAULT_S = 25.0
# How long something stays away, stopped or used up.
AWAY_S = (2.0, 6.0)
OPEN_S = 3.0
LOCKED = "projects, expenses, vendors, materials, labor, cashflow, documents"
BACKENDS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'plumbline'"


@dataclass(frozen=True)
class Fault:
    """Does its harm and waits until the instance has recovered.

    ``proxy``: connections break meanwhile. Faults of the database can overlap with others.
    """

    name: str
    happen: Callable[[], Awaitable[None]]
    proxy: bool = False
    database: bool = False


class Faults:
    """All faults of an instance; how long each lasts is drawn."""

    def __init__(self, instance: Instance, rng: Random) -> None:
        self._instance = instance
        self._rng = rng

    def all(self) -> list[Fault]:
        generator = replica_of("Generator")
        return [
            *(self._killed(f"{stage} replica killed", replica_of(stage)) for stage in DEPLOYMENTS),
            self._killed("Serve controller killed", CONTROLLER),
            self._killed("proxy killed", PROXY, proxy=True),
            self._frozen("Generator stopped and continued", generator),
            self._frozen("Serve controller stopped and continued", CONTROLLER),
            self._frozen("proxy stopped and continued", PROXY, proxy=True),
            self._of_database("PostgreSQL stopped and started", self._restart_database),
            self._of_database("PostgreSQL stopped at once and started", self._crash_database),
            self._of_database("PostgreSQL out of connections", self._use_up_connections),
            self._of_database("PostgreSQL backends terminated", self._terminate_backends),
            self._of_database("tables locked", self._lock_tables),
            self._of_database("PostgreSQL backends stopped and continued", self._freeze_backends),
        ]

    def _away_s(self) -> float:
        return self._rng.uniform(*AWAY_S)

    def _killed(self, name: str, title: str, proxy: bool = False) -> Fault:
        async def happen() -> None:
            (process, *_) = await asyncio.to_thread(self._instance.processes, title)
            process.kill()
            await self._instance.recovered(lambda: self._is_replaced(title, process))

        return Fault(name, happen, proxy)

    def _is_replaced(self, title: str, lost: psutil.Process) -> bool:
        return any(found != lost for found in self._instance.processes(title))

    def _frozen(self, name: str, title: str, proxy: bool = False) -> Fault:
        async def happen() -> None:
            processes = await asyncio.to_thread(self._instance.processes, title)
            with _stopped([process.pid for process in processes]):
                await asyncio.sleep(self._away_s())
            await self._instance.recovered(lambda: bool(self._instance.processes(title)))

        return Fault(name, happen, proxy)

    def _of_database(self, name: str, harm: Callable[[], Awaitable[None]]) -> Fault:
        async def happen() -> None:
            await harm()
            await self._instance.recovered(lambda: True)

        return Fault(name, happen, database=True)

    async def _restart_database(self) -> None:
        await asyncio.to_thread(self._instance.postgres.stop)
        await self._start_database()

    async def _crash_database(self) -> None:
        # What `pg_ctl stop -m immediate` does: no session is told, and the log is replayed at the start.
        os.kill(self._instance.postmaster(), signal.SIGQUIT)
        await self._start_database()

    async def _start_database(self) -> None:
        await asyncio.sleep(self._away_s())
        await asyncio.to_thread(self._instance.postgres.start)

    async def _use_up_connections(self) -> None:
        taken: list[asyncpg.Connection[Any]] = []
        async with self._superuser() as admin:
            try:
                deadline = time.monotonic() + self._away_s()
                while time.monotonic() < deadline:
                    if not await _taken_one(self._instance.database.dsn, taken):
                        # Whoever has a connection already would not notice.
                        await admin.execute(f"SELECT pg_terminate_backend(pid) {BACKENDS}")
                        await asyncio.sleep(0.05)
            finally:
                for connection in taken:
                    connection.terminate()

    async def _terminate_backends(self) -> None:
        async with self._superuser() as admin:
            for _ in range(self._rng.randrange(1, 10)):
                await admin.execute(f"SELECT pg_terminate_backend(pid) {BACKENDS}")
                await asyncio.sleep(0.1)

    async def _lock_tables(self) -> None:
        async with self._superuser() as admin, admin.transaction():
            await admin.execute(f"LOCK TABLE {LOCKED} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(self._away_s())

    async def _freeze_backends(self) -> None:
        async with self._superuser() as admin:
            rows = await admin.fetch(f"SELECT pid {BACKENDS}")
        with _stopped([row["pid"] for row in rows]):
            await asyncio.sleep(self._away_s())

    @contextlib.asynccontextmanager
    async def _superuser(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        connection = await asyncpg.connect(self._instance.database.admin_dsn)
        try:
            yield connection
        finally:
            await connection.close()


@contextlib.contextmanager
def _stopped(pids: Collection[int]) -> Iterator[None]:
    """The processes do nothing while the block runs."""
    try:
        _signal(pids, signal.SIGSTOP)
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def _taken_one(dsn: str, taken: "list[asyncpg.Connection[Any]]") -> bool:
    """Whether the server gave one more connection."""
    try:
        taken.append(await asyncpg.connect(dsn, timeout=OPEN_S))
    except (asyncpg.PostgresError, OSError, TimeoutError):
        return False
    return True


async def let_happen(
    faults: Collection[Fault],
    record: Record,
    rng: Random,
    ends: float,
    told: Callable[[str], None],
) -> None:
    """Round after round, each fault once in a drawn order, until ``ends`` (monotonic) comes near.

    Raises:
        NotRecovered: the instance did not get ready again.
    """
    while True:
        for fault in rng.sample(list(faults), len(faults)):
            pause_s = rng.uniform(*CALM_S)
            if time.monotonic() + pause_s + LAST_FAULT_S > ends:
                return
            await asyncio.sleep(pause_s)
            told(f"fault: {fault.name}")
            with record.window(fault.name, fault.proxy) as window:
                await fault.happen()
            told(f"  ready again {time.monotonic() - window.began:.1f} s later")


def lines_of(faults: Sequence[Fault], overlap: bool) -> list[list[Fault]]:
    """What happens one after the other: everything, or the database's faults beside all others."""
    if not overlap:
        return [list(faults)]
    return [[fault for fault in faults if fault.database is database] for database in (False, True)]
