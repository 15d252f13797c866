"""An instance as an operator starts it, with a PostgreSQL that can be stopped, and the processes of both."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from deployments.conversations.store import STORE_FILE
from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres, processes_in
from tests.cli_support import Operator, fresh_operator
from tests.postgres_fixture import make_state_folder

CONTROLLER = "ray::ServeController"
PROXY = "ray::ProxyActor"
POLL_S = 0.1
PROBE_S = 20.0
# Whatever is not ready by then will not be: a start from nothing takes less on the slowest machine.
RECOVERY_S = 180.0


class NotStarted(Exception):
    """The instance did not come up; the message is what `plumbline up` said."""


class NotRecovered(Exception):
    """A fault is over, and the instance does not get ready again by itself."""


def replica_of(stage: str) -> str:
    """The title of the process of a stage's replica."""
    return f"ray::ServeReplica:plumbline:{stage}"


@dataclass(frozen=True)
class Instance:
    """The server under load."""

    operator: Operator
    postgres: EmbeddedPostgres
    database: EmbeddedDatabase
    supervisor: int

    @property
    def url(self) -> str:
        return self.operator.url

    @property
    def folder(self) -> Path:
        return Path(self.operator.environment["PLUMBLINE_DATA_DIR"])

    @property
    def store(self) -> Path:
        return self.folder / STORE_FILE

    def log_of(self, request_id: str) -> list[str]:
        """The lines above INFO that the instance logged of a request, as they are: a killed process may have
        left a part of one."""
        lines = (
            (self.folder / "logs" / "plumbline.jsonl")
            .read_text(encoding="utf-8", errors="replace")
            .split("\n")
        )
        named = f'"request_id": "{request_id}"'
        return [line for line in lines if named in line and '"level": "INFO"' not in line]

    def processes(self, title: str) -> list[psutil.Process]:
        """The supervisor's descendants with this title, which goes on with the method at work, if any."""
        found = []
        for process in psutil.Process(self.supervisor).children(recursive=True):
            try:
                told = process.cmdline()
            except psutil.Error:
                continue
            if told and (told[0] == title or told[0].startswith(f"{title}.")):
                found.append(process)
        return found

    def postmaster(self) -> int:
        return int((self.postgres.data_folder / "postmaster.pid").read_text().split()[0])

    async def recovered(self, condition: Callable[[], bool]) -> None:
        """Until a condition holds and then /ready answers 200.

        Raises:
            NotRecovered: not within `RECOVERY_S`.
        """
        told = "nothing"
        deadline = time.monotonic() + RECOVERY_S
        async with httpx.AsyncClient(base_url=self.url, timeout=PROBE_S, trust_env=False) as http:
            while time.monotonic() < deadline:
                if await asyncio.to_thread(condition):
                    try:
                        response = await http.get("/ready")
                        told = response.text[-500:]
                        if response.status_code == 200:
                            return
                    except httpx.HTTPError as error:
                        told = type(error).__name__
                await asyncio.sleep(POLL_S)
        raise NotRecovered(f"not ready {RECOVERY_S:g} s after the fault; /ready says {told}")


@contextmanager
def own_instance() -> Iterator[Instance]:
    """Start everything; all of it is ended afterwards.

    Raises:
        NotStarted: the instance does not come up.
    """
    folder = make_state_folder()
    postgres = EmbeddedPostgres(folder)
    try:
        database = postgres.start()
        with fresh_operator() as operator:
            started = operator.run("up", "--detach", DATABASE_URL=database.dsn)
            if started.returncode:
                raise NotStarted(started.stderr)
            yield Instance(operator, postgres, database, operator.status()["pid"])
    finally:
        # A stopped process could not end.
        for process in processes_in(postgres.data_folder):
            os.kill(process, signal.SIGCONT)
        postgres.stop()
        shutil.rmtree(folder)
