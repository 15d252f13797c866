"""The embedded server under the executor's deployment comes back by itself, whatever was left half done."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from executor_helpers import make_request, wait_until
from postgres_fixture import make_state_folder

from deployments.executor.config import ExecutorConfig
from deployments.executor.deployment import DATABASE_FOLDER, Executor
from deployments.executor.embedded import LOOPBACK, EmbeddedPostgres
from deployments.executor.embedded_keeper import EmbeddedKeeper
from serve_app.errors import DatabaseUnavailable
from serve_app.settings.tree import LoggingSettings

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

HANG_S = 60.0


@pytest.fixture(scope="module")
def data_folder() -> Iterator[Path]:
    folder = make_state_folder()
    yield folder
    EmbeddedPostgres(folder / DATABASE_FOLDER).stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(data_folder: Path) -> EmbeddedPostgres:
    """A server that the tests kill and start."""
    made = EmbeddedPostgres(data_folder / DATABASE_FOLDER)
    made.start()
    return made


@pytest.fixture
async def deployed(
    data_folder: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Executor]:
    """The deployment of an instance without DATABASE_URL."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    made = Executor(None, ExecutorConfig(connect_timeout_s=1.0), {}, data_folder, LoggingSettings())
    yield made
    # Serve awaits it when the replica ends.
    await made.__del__()


async def answers(executor: Executor) -> bool:
    try:
        return (await executor.run(make_request("SELECT count(*) FROM organizations"))).rows == ((2,),)
    except DatabaseUnavailable:
        return False


def kill_postmaster(server: EmbeddedPostgres) -> int:
    pid = server.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_a_server_that_was_killed_is_brought_back_by_the_executor(
    deployed: Executor, server: EmbeddedPostgres
) -> None:
    async with asyncio.timeout(HANG_S):
        assert await answers(deployed)
        killed = kill_postmaster(server)
        await wait_until(lambda: answers(deployed))
        assert server.postmaster_pid() not in (None, killed)
        assert (await deployed.health()).ok
        await deployed.check_health()


async def test_a_server_whose_port_was_taken_meanwhile_makes_a_new_replica(
    deployed: Executor, server: EmbeddedPostgres
) -> None:
    """The logins hold the port; the successor reads the new one."""
    port = server.start().port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        async def is_taken() -> bool:
            try:
                other.bind((LOOPBACK, port))
            except OSError:
                return False
            other.listen()
            return True

        # Nobody starts it meanwhile.
        with server._lock():
            kill_postmaster(server)
            await wait_until(is_taken)

        async def is_replaced() -> bool:
            try:
                await deployed.check_health()
            except RuntimeError:
                return True
            return False

        await wait_until(is_replaced)
        assert server.running_port() not in (None, port)


class Refusing:
    """A server that does not start."""

    def __init__(self) -> None:
        self.attempts = 0
        self.enough = threading.Event()

    def running_port(self) -> int | None:
        return None

    def start(self) -> object:
        self.attempts += 1
        if self.attempts == 2:
            self.enough.set()
        raise DatabaseUnavailable("The embedded database did not start.", detail="no space left")


def test_a_server_that_does_not_start_is_tried_again_and_told_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("plumbline"), "propagate", True)
    refusing = Refusing()
    keeper = EmbeddedKeeper(refusing, 1, watch_s=0.01)
    assert refusing.enough.wait(HANG_S)
    keeper.stop()
    assert "the embedded database does not start" in caplog.text


def test_what_a_killed_start_left_behind_is_cleared_away() -> None:
    """Killed in the middle of initdb: no half data folder and no password file outlives the next start."""
    folder = make_state_folder()
    command = f"from deployments.executor.embedded import *; EmbeddedPostgres(Path({str(folder)!r})).start()"
    try:
        started = subprocess.Popen(
            [sys.executable, "-c", command], start_new_session=True, cwd=Path(__file__).parents[2]
        )
        cluster = EmbeddedPostgres(folder).data_folder.parent
        asyncio.run(wait_until(lambda: asyncio.to_thread(has_begun, cluster)))
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        left = [path.name for path in cluster.iterdir()]
        assert any(name.startswith("data.new-") for name in left)
        assert "data" not in left
        server = EmbeddedPostgres(folder)
        database = server.start()
        assert asyncio.run(rows_of(database.dsn, "labor")) == 36_000
        left = [path.name for path in cluster.iterdir()]
        assert not [name for name in left if name.startswith(("data.new-", "password-"))]
    finally:
        EmbeddedPostgres(folder).stop()
        shutil.rmtree(folder)


def has_begun(cluster: Path) -> bool:
    return any(cluster.glob("data.new-*/base"))


async def rows_of(dsn: str, table: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


def test_a_start_killed_while_the_sample_data_are_loaded_is_made_good_by_the_next(
    server: EmbeddedPostgres,
) -> None:
    database = server.start()

    async def forget_half() -> None:
        """As a load that was killed: the marks are gone with it, and its transaction was rolled back."""
        admin = await asyncpg.connect(database.admin_dsn)
        await admin.execute("DELETE FROM plumbline_sample.loaded; DELETE FROM labor WHERE id % 2 = 0")
        await admin.close()

    asyncio.run(forget_half())
    kill_postmaster(server)
    assert asyncio.run(rows_of(server.start().dsn, "labor")) == 36_000


def test_damaged_data_are_told_with_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        data = server.data_folder
        data.mkdir()
        (data / "PG_VERSION").write_text("18\n")
        if os.geteuid() == 0:
            shutil.chown(data, "nobody")
        data.chmod(0o700)
        with pytest.raises(DatabaseUnavailable) as told:
            server.start()
        assert str(folder) in told.value.message
        assert "server.log" in told.value.message
        assert "\n" not in told.value.message
    finally:
        shutil.rmtree(folder)
