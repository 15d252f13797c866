"""A network that is slow, silent or cut between executor and PostgreSQL, and a server that is frozen.

Every call ends within its limits, and what comes after the fault is answered without hands.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import psutil
import pytest
from executor_helpers import make_request, wait_until

from deployments.executor.config import ExecutorConfig, IntrospectionConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from serve_app.contracts import TrialRequest
from serve_app.errors import DatabaseUnavailable, ExecutionTimeout, PlumblineError
from tests.relay import Relay, relay_to

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

# Short limits, so that the faults are over soon; the gate stays out of the way.
CONFIG = ExecutorConfig(
    connect_timeout_s=1.0,
    statement_timeout_s=3.0,
    max_plan_cost=1e12,
    introspection=IntrospectionConfig(statement_timeout_s=1.0),
)
# A guard against a hang, far above the limits.
HANG_S = 30.0


@pytest.fixture
async def relay(sample_database: EmbeddedDatabase) -> AsyncIterator[Relay]:
    async with relay_to(sample_database.port) as made:
        yield made


@pytest.fixture
async def executor(relay: Relay, sample_database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    made = SqlExecutor(relay.dsn(sample_database.dsn), CONFIG)
    yield made
    relay.silent = False
    relay.reset()
    await made.close()


@pytest.fixture
async def admin(sample_database: EmbeddedDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(sample_database.admin_dsn)
    yield connection
    await connection.close()


async def answers(executor: SqlExecutor) -> bool:
    return (await executor.run(make_request("SELECT 1"))).rows == ((1,),)


def open_sockets(port: int) -> int:
    """This process's connections to a port, those that are not closed yet."""
    connections = psutil.Process().net_connections("tcp")
    return sum(c.raddr != () and c.raddr.port == port and c.status != "TIME_WAIT" for c in connections)


async def process_of(admin: "asyncpg.Connection[asyncpg.Record]", marker: str) -> int:
    """The process of the statement with the marker, once it runs."""

    async def runs() -> bool:
        return await is_running(admin, marker) is not None

    await wait_until(runs)
    pid = await is_running(admin, marker)
    assert pid is not None
    return pid


async def is_running(admin: "asyncpg.Connection[asyncpg.Record]", marker: str) -> int | None:
    """The process of the statement with the marker in its text, while it runs."""
    return await admin.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || '%' "
        "AND pid <> pg_backend_pid()",
        marker,
    )


async def test_a_slow_network_costs_time_and_no_answer(executor: SqlExecutor, relay: Relay) -> None:
    relay.delay_s = 0.05
    async with asyncio.timeout(HANG_S):
        assert await answers(executor)
        assert await answers(executor)


async def test_a_network_slower_than_the_limits_is_told_and_over_when_it_is_over(
    executor: SqlExecutor, relay: Relay
) -> None:
    relay.delay_s = 3.0
    async with asyncio.timeout(HANG_S):
        with pytest.raises(DatabaseUnavailable):
            await executor.run(make_request("SELECT 1"))
    relay.delay_s = 0.0
    assert await answers(executor)


async def test_an_idle_connection_that_died_without_a_word_is_replaced(
    executor: SqlExecutor, relay: Relay
) -> None:
    """As behind a firewall that forgot the connection: no reset, no end, the next packet goes nowhere."""
    assert await answers(executor)
    relay.forget_connections()
    async with asyncio.timeout(HANG_S):
        assert await answers(executor)


@pytest.mark.parametrize("opened_before", [True, False])
async def test_a_silent_database_is_away_and_nothing_piles_up(
    executor: SqlExecutor, relay: Relay, opened_before: bool
) -> None:
    if opened_before:
        assert await answers(executor)
    relay.silent = True
    trial = TrialRequest(
        request_id="t",
        statements=(make_request("SELECT 1").statement,),
        caller=make_request("").caller,
        timeout_s=1.0,
    )
    async with asyncio.timeout(HANG_S):
        outcomes = await asyncio.gather(
            *(executor.run(make_request("SELECT 1")) for _ in range(20)),
            executor.trial(trial),
            *(executor.schema() for _ in range(20)),
            executor.statistics(),
            return_exceptions=True,
        )
    assert {type(outcome).__name__ for outcome in outcomes} <= {"DatabaseUnavailable", "Overloaded"}
    assert {outcome.status for outcome in outcomes if isinstance(outcome, PlumblineError)} == {503}
    assert not (await executor.health()).ok
    relay.silent = False
    assert await answers(executor)
    assert (await executor.schema()).tables
    assert (await executor.health()).ok

    async def is_tidy() -> bool:
        # The dead connections are given up: what is open belongs to the pool of today.
        return open_sockets(relay.port) == (await executor.health()).figures["connections"]

    await wait_until(is_tidy)


async def test_a_network_that_falls_silent_under_a_statement_ends_it_on_both_sides(
    executor: SqlExecutor, relay: Relay, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    call = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(30), 'silenced'")))
    async with asyncio.timeout(HANG_S):
        await process_of(admin, "silenced")
        relay.silent = True
        with pytest.raises(ExecutionTimeout):
            await call

        async def is_over() -> bool:
            return await is_running(admin, "silenced") is None

        await wait_until(is_over)
    relay.silent = False
    assert await answers(executor)


async def test_a_cut_connection_is_told_and_the_next_is_answered(
    executor: SqlExecutor, relay: Relay, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    call = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(30), 'cut off'")))
    async with asyncio.timeout(HANG_S):
        await process_of(admin, "cut off")
        relay.reset()
        with pytest.raises(DatabaseUnavailable):
            await call
        assert await answers(executor)


async def test_a_frozen_backend_is_left_and_its_statement_is_cancelled(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A backend that is stopped cannot keep its own time limit."""
    executor = SqlExecutor(sample_database.dsn, CONFIG)
    call = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(30), 'frozen'")))
    async with asyncio.timeout(HANG_S):
        pid = await process_of(admin, "frozen")
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ExecutionTimeout):
                await call
            # Others are served meanwhile, on other connections.
            assert await answers(executor)
        finally:
            os.kill(pid, signal.SIGCONT)

        async def is_gone() -> bool:
            return await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == 0

        await wait_until(is_gone)
    await executor.close()
