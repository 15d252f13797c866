"""PostgreSQL stopped, killed and frozen, full, and changed under a running executor."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest
from executor_helpers import make_request, wait_until
from postgres_fixture import make_state_folder

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres, EmbeddedPostgresConfig
from deployments.executor.executor import SqlExecutor
from serve_app.errors import DatabaseUnavailable, ExecutionTimeout, Overloaded

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

CONFIG = ExecutorConfig(connect_timeout_s=1.0, statement_timeout_s=20.0, max_concurrent_queries=4)
# Three of them are the superuser's alone.
MAX_CONNECTIONS = 12
HANG_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that the tests stop, kill and fill; each leaves it running."""
    folder = make_state_folder()
    made = EmbeddedPostgres(folder, EmbeddedPostgresConfig(max_connections=MAX_CONNECTIONS))
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database(server: EmbeddedPostgres) -> EmbeddedDatabase:
    return server.start()


@pytest.fixture
async def executor(database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    made = SqlExecutor(database.dsn, CONFIG)
    yield made
    await made.close()


@pytest.fixture
async def admin(database: EmbeddedDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.admin_dsn)
    yield connection
    connection.terminate()


async def answers(executor: SqlExecutor) -> bool:
    return (await executor.run(make_request("SELECT 1"))).rows == ((1,),)


async def until_it_runs(admin: "asyncpg.Connection[asyncpg.Record]", marker: str) -> int:
    """The process of the statement with the marker in its text, once it runs."""
    found: list[int] = []

    async def runs() -> bool:
        found[:] = [
            row["pid"]
            for row in await admin.fetch(
                "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
                "AND query LIKE '%' || $1 || '%'",
                marker,
            )
        ]
        return bool(found)

    await wait_until(runs)
    return found[0]


async def until_away(server: EmbeddedPostgres) -> None:
    async def is_away() -> bool:
        return not await asyncio.to_thread(server.is_running)

    await wait_until(is_away)


def kill(signal_number: int) -> Callable[[EmbeddedPostgres], None]:
    return lambda server: os.kill(server.postmaster_pid() or 0, signal_number)


ENDS: dict[str, Callable[[EmbeddedPostgres], None]] = {
    "fast stop": EmbeddedPostgres.stop,
    "immediate stop": kill(signal.SIGQUIT),
    "postmaster killed": kill(signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_server_that_ends_under_a_statement_is_used_again_when_it_is_back(
    server: EmbeddedPostgres,
    executor: SqlExecutor,
    admin: "asyncpg.Connection[asyncpg.Record]",
    end: str,
) -> None:
    async with asyncio.timeout(HANG_S):
        # Two more idle connections, which must not be handed out afterwards.
        await asyncio.gather(*(answers(executor) for _ in range(3)))
        call = asyncio.create_task(
            executor.run(make_request("SELECT pg_sleep(30), 'at work'", timeout_s=20.0))
        )
        await until_it_runs(admin, "at work")
        await asyncio.to_thread(ENDS[end], server)
        with pytest.raises(DatabaseUnavailable):
            await call
        await until_away(server)
        for fault in await asyncio.gather(
            *(executor.run(make_request("SELECT 1")) for _ in range(12)), return_exceptions=True
        ):
            assert isinstance(fault, DatabaseUnavailable)
        assert not (await executor.health()).ok
        await asyncio.to_thread(server.start)
        assert await answers(executor)
        assert (await executor.health()).ok


async def test_a_restart_while_all_connections_are_idle_goes_unnoticed(
    server: EmbeddedPostgres, executor: SqlExecutor
) -> None:
    async with asyncio.timeout(HANG_S):
        await asyncio.gather(*(executor.run(make_request("SELECT pg_sleep(0.1)")) for _ in range(4)))
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        outcomes = await asyncio.gather(*(answers(executor) for _ in range(8)))
        assert all(outcomes)


async def test_a_frozen_postmaster_lets_no_new_connection_in(
    server: EmbeddedPostgres, executor: SqlExecutor
) -> None:
    pid = server.postmaster_pid()
    assert pid is not None
    fresh = SqlExecutor(server.start().dsn, CONFIG)
    assert await answers(executor)
    async with asyncio.timeout(HANG_S):
        os.kill(pid, signal.SIGSTOP)
        try:
            # What is open already goes on.
            assert await answers(executor)
            outcomes = await asyncio.gather(
                *(fresh.run(make_request("SELECT 1")) for _ in range(6)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {DatabaseUnavailable}
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await answers(fresh)
    await fresh.close()


async def test_a_server_that_comes_later_is_found_by_itself(server: EmbeddedPostgres) -> None:
    dsn = server.start().dsn
    server.stop()
    executor = SqlExecutor(dsn, CONFIG)
    async with asyncio.timeout(HANG_S):
        assert not (await executor.health()).ok
        for call in (executor.schema(), executor.run(make_request("SELECT 1"))):
            with pytest.raises(DatabaseUnavailable):
                await call
        await asyncio.to_thread(server.start)
        assert await answers(executor)
        assert (await executor.schema()).tables
        assert (await executor.health()).ok
    await executor.close()


async def test_without_a_free_connection_questions_are_refused_until_there_is_one(
    database: EmbeddedDatabase, executor: SqlExecutor
) -> None:
    others = await all_connections(database.dsn)
    async with asyncio.timeout(HANG_S):
        refusals = await asyncio.gather(
            *(executor.run(make_request("SELECT 1")) for _ in range(20)), return_exceptions=True
        )
        for refusal in refusals:
            assert isinstance(refusal, Overloaded)
            assert refusal.retry_after_s
        health = await executor.health()
        assert (health.ok, health.figures["running_queries"], health.figures["connections"]) == (False, 0, 0)
        await others.pop().close()
        assert await answers(executor)
    await asyncio.gather(*(other.close() for other in others))


async def test_the_connection_limit_of_the_role_is_told_like_that_of_the_server(
    database: EmbeddedDatabase, executor: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("ALTER ROLE plumbline_reader CONNECTION LIMIT 1")
    try:
        async with asyncio.timeout(HANG_S):
            other = await asyncpg.connect(database.dsn)
            with pytest.raises(Overloaded):
                await executor.run(make_request("SELECT 1"))
            await other.close()
            assert await answers(executor)
            # One connection is enough for one statement after the other.
            assert await answers(executor)
    finally:
        await admin.execute("ALTER ROLE plumbline_reader CONNECTION LIMIT -1")


async def all_connections(dsn: str) -> "list[asyncpg.Connection[asyncpg.Record]]":
    """Every connection that the server still has for the role."""
    found: list[asyncpg.Connection[asyncpg.Record]] = []
    while True:
        try:
            found.append(await asyncpg.connect(dsn))
        except asyncpg.TooManyConnectionsError:
            return found


async def test_a_password_that_was_changed_is_told_and_the_old_one_works_again(
    executor: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    assert await answers(executor)
    kept = await admin.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'plumbline_reader'")
    await admin.execute("ALTER ROLE plumbline_reader PASSWORD 'another one'")
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'plumbline_reader'"
        )
        async with asyncio.timeout(HANG_S):
            with pytest.raises(DatabaseUnavailable) as told:
                await executor.run(make_request("SELECT 1"))
            assert "plumbline_reader" not in told.value.message
            assert not (await executor.health()).ok
    finally:
        await admin.execute(f"ALTER ROLE plumbline_reader PASSWORD '{kept}'")
    assert await answers(executor)


async def test_a_lock_that_is_never_released_costs_one_statement_and_not_the_service(
    executor: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("BEGIN; LOCK TABLE materials IN ACCESS EXCLUSIVE MODE")
    async with asyncio.timeout(HANG_S):
        blocked = asyncio.create_task(
            executor.run(make_request("SELECT count(*) FROM materials", timeout_s=1.0))
        )
        assert await answers(executor)
        with pytest.raises(ExecutionTimeout):
            await blocked
    await admin.execute("ROLLBACK")
    assert (await executor.run(make_request("SELECT count(*) FROM materials"))).row_count == 1
