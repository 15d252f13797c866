"""Statements on the real server: results, limits, refusals and cancellation."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from executor_helpers import make_request, wait_until

from deployments.executor import pool
from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from serve_app.contracts import SemanticType
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    Overloaded,
    PermissionDenied,
    PlumblineError,
    SchemaChanged,
)

pytestmark = pytest.mark.postgres

SLOW_SQL = "SELECT count(*) FROM labor a, labor b, labor c WHERE a.hours + b.hours + c.hours > 0"
# As large as plans come: time limits are tested on what the planner would warn of.
UNGATED = ExecutorConfig(max_plan_cost=1e30, max_plan_rows=10**30)
RUNNING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def ungated(sample_database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    executor = SqlExecutor(sample_database.dsn, UNGATED)
    yield executor
    await executor.close()


async def running(admin: "asyncpg.Connection[asyncpg.Record]", marker: str) -> int:
    return int(await admin.fetchval(RUNNING, f"%{marker}%"))


async def test_rows_columns_and_semantic_types(sample_database: EmbeddedDatabase) -> None:
    semantics: dict[str, SemanticType] = {"amount": "currency", "budget": "currency"}
    executor = SqlExecutor(sample_database.dsn, semantics=semantics)
    sql = "SELECT id, name, budget, start_date, actual_end_date, status FROM projects WHERE id = 1"
    result = await executor.run(make_request(sql))
    await executor.close()
    assert result.rows[0][:3] == (1, "Downtown Office Tower", 18500000.0)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", result.rows[0][3])
    assert result.rows[0][4:] == (None, "active")
    assert [c.semantic_type for c in result.columns] == ["id", "text", "currency", "date", "date", "text"]
    assert [c.database_type for c in result.columns][:3] == ["integer", "text", "numeric"]
    assert (result.row_count, result.total_count, result.truncated) == (1, 1, False)
    assert result.execution_ms > 0


async def test_sum_is_exact_to_the_cent(
    executor: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    result = await executor.run(make_request("SELECT sum(amount) FROM expenses"))
    assert f"{result.rows[0][0]:.2f}" == await admin.fetchval("SELECT sum(amount)::text FROM expenses")


async def test_empty_result_keeps_its_columns(executor: SqlExecutor) -> None:
    result = await executor.run(make_request("SELECT id, name FROM projects WHERE false"))
    assert (result.rows, result.total_count, [c.name for c in result.columns]) == ((), 0, ["id", "name"])


async def test_duplicate_column_names_are_kept(executor: SqlExecutor) -> None:
    result = await executor.run(make_request("SELECT 1 AS n, 2 AS n"))
    assert ([c.name for c in result.columns], result.rows) == (["n", "n"], ((1, 2),))


VALUES = [
    ("interval '1 mon 3 days 04:05'", "P1M3DT4H5M"),
    ("interval '-1 year 2 days -3.5 seconds'", "P-1Y2DT-3.500000S"),
    ("interval '0'", "PT0S"),
    ("date '0044-03-15 BC'", "-0043-03-15"),
    ("date '123456-02-29'", "+123456-02-29"),
    ("date 'infinity'", "infinity"),
    ("timestamptz '-infinity'", "-infinity"),
    ("timestamptz '2025-03-31 10:00:00.5+02'", "2025-03-31T08:00:00.500000+00:00"),
    ("timestamp '2025-03-31 10:00'", "2025-03-31T10:00:00"),
    ("timestamptz '20000-01-01 00:00:00+00'", "+20000-01-01T00:00:00+00:00"),
    ("time '24:00'", "24:00:00"),
    ("timetz '01:02:03+05:30'", "01:02:03+05:30"),
    ("12345678901234567890.12::numeric", "12345678901234567890.12"),
    ("9999999999999.99::numeric", 9999999999999.99),
    ("9223372036854775807::bigint", "9223372036854775807"),
    ("'NaN'::numeric", "NaN"),
    ("'-Infinity'::float8", "-Infinity"),
    ("ARRAY[date '2020-01-01', NULL]", ["2020-01-01", None]),
    ("daterange('2020-01-01', '2021-01-01')", "[2020-01-01,2021-01-01)"),
    ("numrange(1.5, NULL)", "[1.5,)"),
    ("'empty'::int4range", "empty"),
    ("'{[2020-01-01,2021-01-01)}'::datemultirange", ["[2020-01-01,2021-01-01)"]),
    (
        """'{"a": 1.10, "b": [12345678901234567890, null]}'::jsonb""",
        {"a": 1.1, "b": ["12345678901234567890", None]},
    ),
    ("'\\xdeadbeef'::bytea", "\\xdeadbeef"),
    ("'86a59a5a-e040-42e5-84f8-2e5e03d6df2f'::uuid", "86a59a5a-e040-42e5-84f8-2e5e03d6df2f"),
    ("'10.1.1.1'::inet", "10.1.1.1"),
    ("12345.678::money", "$12,345.68"),
    ("ROW(date '2020-01-01', 1.5)", ["2020-01-01", 1.5]),
    ("'{active,NULL}'::project_status[]", ["active", None]),
    ("'café ☃ \U0001f600'", "café ☃ \U0001f600"),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES, ids=[v[0] for v in VALUES])
async def test_every_kind_of_value(executor: SqlExecutor, expression: str, expected: object) -> None:
    result = await executor.run(make_request(f"SELECT {expression} AS value"))
    assert result.rows == ((expected,),)


async def test_instants_are_shown_in_the_configured_zone(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(time_zone="America/Denver"))
    result = await executor.run(
        make_request("SELECT timestamptz '2025-07-01 12:00+00', current_setting('timezone')")
    )
    await executor.close()
    assert result.rows == (("2025-07-01T06:00:00-06:00", "America/Denver"),)


REFUSED = [
    ("INSERT INTO labor SELECT * FROM labor", PermissionDenied),
    ("DELETE FROM labor", PermissionDenied),
    ("UPDATE projects SET budget = 0", PermissionDenied),
    ("CREATE TABLE stolen (id int)", PermissionDenied),
    ("CREATE TEMP TABLE stolen AS SELECT 1", PermissionDenied),
    ("WITH gone AS (DELETE FROM labor RETURNING *) SELECT * FROM gone", PermissionDenied),
    ("SELECT * FROM labor FOR UPDATE", PermissionDenied),
    ("SELECT * INTO stolen FROM labor", PermissionDenied),
    ("SELECT pg_read_file('/etc/passwd')", PermissionDenied),
    ("SELECT * FROM plumbline_sample.loaded", PermissionDenied),
    ("SELECT * FROM pg_authid", PermissionDenied),
    ("SELECT 1; DELETE FROM labor", ExecutionFailed),
    ("COMMIT; DELETE FROM labor", ExecutionFailed),
    ("SELECT set_config('transaction_read_only', 'off', true)", ExecutionFailed),
    ("SELECT no_such_column FROM labor", SchemaChanged),
    ("SELECT * FROM no_such_table", SchemaChanged),
    ("SELECT 1/0", ExecutionFailed),
    ("SELECT 'Worker 17'::integer", ExecutionFailed),
    ("SELEKT 1", ExecutionFailed),
    ("", ExecutionFailed),
    ("SELECT (repeat('[', 3000) || repeat(']', 3000))::json", ExecutionFailed),
    ("SELECT '1e999999999'::json", ExecutionFailed),
    ("SELECT $1::int", ExecutionFailed),
    ("SELECT 1 \x00", ExecutionFailed),
    ("SELECT '\ud800'", ExecutionFailed),
]


@pytest.mark.parametrize(("sql", "error_class"), REFUSED, ids=[repr(r[0]) for r in REFUSED])
async def test_refused_even_if_the_validator_let_it_pass(
    executor: SqlExecutor,
    admin: "asyncpg.Connection[asyncpg.Record]",
    sql: str,
    error_class: type[PlumblineError],
) -> None:
    before = await admin.fetchval("SELECT count(*) FROM labor")
    with pytest.raises(PlumblineError) as caught:
        await executor.run(make_request(sql))
    assert type(caught.value) is error_class
    assert caught.value.detail
    for driver_word in ("asyncpg", "relation", "syntax", "Worker", "SQLSTATE", "transaction", "labor"):
        assert driver_word not in caught.value.message
    assert await admin.fetchval("SELECT count(*) FROM labor") == before
    assert (await executor.run(make_request("SELECT 1"))).rows == ((1,),)


async def test_settings_of_one_statement_do_not_reach_the_next(executor: SqlExecutor) -> None:
    await executor.run(make_request("SELECT set_config('search_path', 'pg_catalog', false)"))
    result = await executor.run(
        make_request("SELECT current_setting('search_path'), count(*) FROM organizations")
    )
    assert result.rows == (('"public"', 2),)


async def test_limits_hold_inside_the_transaction(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(statement_timeout_s=15.0))
    limits = {
        "transaction_read_only": "on",
        "statement_timeout": "3s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "transaction_timeout": "10s",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "temp_file_limit": "64MB",
        "work_mem": "16MB",
        "search_path": '"public"',
        "standard_conforming_strings": "on",
    }
    columns = ", ".join(f"current_setting('{name}') AS {name}" for name in limits)
    result = await executor.run(make_request(f"SELECT {columns}", timeout_s=3.0))
    await executor.close()
    assert dict(zip(limits, result.rows[0], strict=True)) == limits


async def test_time_limit(ungated: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    with pytest.raises(ExecutionTimeout):
        await ungated.run(make_request(f"/* time limit */ {SLOW_SQL}", timeout_s=0.2))
    assert await running(admin, "/* time limit */") == 0
    assert (await ungated.run(make_request("SELECT 1"))).rows == ((1,),)


async def test_the_configured_time_limit_caps_the_request(sample_database: EmbeddedDatabase) -> None:
    config = UNGATED.model_copy(update={"statement_timeout_s": 0.2})
    executor = SqlExecutor(sample_database.dsn, config)
    with pytest.raises(ExecutionTimeout):
        await executor.run(make_request(SLOW_SQL, timeout_s=600))
    await executor.close()


async def test_the_time_limit_is_for_all_fetches_together(executor: SqlExecutor) -> None:
    """Each fetch stays under the server's own limit, which begins anew with it."""
    slow_rows = "SELECT n, pg_sleep(0.15) FROM generate_series(1, 1000) n"
    with pytest.raises(ExecutionTimeout) as caught:
        await executor.run(make_request(slow_rows, timeout_s=1.0))
    assert (caught.value.detail or "").startswith("TimeoutError")


async def test_waiting_for_a_lock_is_bounded(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(lock_timeout_s=0.1))
    async with admin.transaction():
        await admin.execute("LOCK TABLE organizations")
        with pytest.raises(ExecutionTimeout, match="being changed"):
            await executor.run(make_request("SELECT * FROM organizations"))
    await executor.close()


async def test_cancelling_the_call_cancels_the_statement(
    ungated: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    marker = "/* client went away */"

    async def started() -> bool:
        return await running(admin, marker) == 1

    async def gone() -> bool:
        return await running(admin, marker) == 0

    call = asyncio.create_task(ungated.run(make_request(f"{marker} {SLOW_SQL}")))
    await wait_until(started)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await wait_until(gone)
    assert (await ungated.run(make_request("SELECT 1"))).rows == ((1,),)


# Runs out of time on the server, in the client between fetches, and while further rows are counted.
OUT_OF_TIME = {
    "statement": "SELECT count(*) FROM labor a, labor b, labor c",
    "fetches": "SELECT n, pg_sleep(0.15) FROM generate_series(1, 1000) n",
    "counting": "SELECT a.id FROM labor a, labor b",
}


@pytest.mark.parametrize("sql", OUT_OF_TIME.values(), ids=OUT_OF_TIME)
async def test_a_connection_is_not_used_again_after_a_timeout(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]", sql: str
) -> None:
    small = {"statement_timeout_s": 1.0, "display_rows": 50, "count_timeout_s": 0.1, "count_bound": 10**9}
    executor = SqlExecutor(sample_database.dsn, UNGATED.model_copy(update=small))
    (used,) = (await executor.run(make_request("SELECT pg_backend_pid()"))).rows[0]

    async def ended() -> bool:
        return not await admin.fetchval("SELECT true FROM pg_stat_activity WHERE pid = $1", used)

    with contextlib.suppress(ExecutionTimeout):
        result = await executor.run(make_request(sql))
        assert (result.row_count, result.total_count) == (50, None)
    await wait_until(ended)
    await executor.close()


async def test_a_plan_that_is_too_large_is_refused_before_it_runs(
    executor: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    with pytest.raises(ExecutionFailed, match="too much data") as caught:
        await executor.run(make_request(SLOW_SQL))
    assert re.search(r"max_plan_cost.*max_plan_rows", caught.value.detail or "")
    assert "labor" not in caught.value.message


async def test_what_waits_too_long_in_line_is_refused(sample_database: EmbeddedDatabase) -> None:
    config = ExecutorConfig(max_concurrent_queries=1, max_wait_s=0.1)
    executor = SqlExecutor(sample_database.dsn, config)
    first = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(1)")))

    async def is_running() -> bool:
        return (await executor.health()).figures["running_queries"] == 1

    await wait_until(is_running)
    with pytest.raises(Overloaded) as caught:
        await executor.run(make_request("SELECT 1"))
    assert caught.value.retry_after_s
    await first
    assert (await executor.run(make_request("SELECT 1"))).rows == ((1,),)
    await executor.close()


async def test_more_statements_than_connections_wait_and_then_are_refused(
    sample_database: EmbeddedDatabase,
) -> None:
    executor = SqlExecutor(
        sample_database.dsn, ExecutorConfig(max_concurrent_queries=2, max_waiting_queries=3)
    )
    calls = [executor.run(make_request("SELECT pg_sleep(0.1), 7 AS n")) for _ in range(9)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    await executor.close()
    refused = [r for r in results if isinstance(r, BaseException)]
    assert len(refused) == 4
    assert all(isinstance(r, Overloaded) and r.retry_after_s for r in refused)


async def test_byte_limit(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(max_result_bytes=10_000))
    result = await executor.run(
        make_request("SELECT n, left(repeat(md5(n::text), 20), 500) FROM generate_series(1, 300) n")
    )
    await executor.close()
    assert (result.truncated, result.truncated_by, result.total_count) == (True, "bytes", 300)
    assert result.row_count == len(result.rows) == 19


async def test_one_row_beyond_the_byte_limit_leaves_none(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(max_result_bytes=1024))
    result = await executor.run(make_request("SELECT repeat('x', 5000)"))
    await executor.close()
    assert (result.rows, result.total_count, result.truncated_by) == ((), 1, "bytes")


WIDE = {
    "text": "SELECT 1 AS n, string_agg(description, '') FROM expenses CROSS JOIN generate_series(1, 40)",
    "array": "SELECT 1 AS n, array_agg(amount) FROM expenses CROSS JOIN generate_series(1, 60)",
    "json": "SELECT 1 AS n, jsonb_agg(amount) FROM expenses CROSS JOIN generate_series(1, 60)",
}


@pytest.mark.parametrize("sql", WIDE.values(), ids=WIDE)
async def test_a_row_too_wide_to_show_is_not_even_decoded(
    sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    executor = SqlExecutor(sample_database.dsn, UNGATED.model_copy(update={"statement_timeout_s": 30.0}))
    decoded = []
    monkeypatch.setattr("deployments.executor.row_collector.json_value", decoded.append)
    result = await executor.run(make_request(sql, timeout_s=30.0))
    assert decoded == []
    assert (result.rows, result.total_count, result.truncated_by) == ((), None, "bytes")
    assert result.columns[0].name == "n"
    monkeypatch.undo()
    assert (await executor.run(make_request("SELECT 1"))).rows == ((1,),)
    await executor.close()


async def test_rows_before_a_wide_one_are_kept(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, UNGATED)
    sql = "SELECT n, repeat('x', n * 1000000) FROM (VALUES (0), (1), (2), (30)) AS v(n)"
    result = await executor.run(make_request(sql))
    await executor.close()
    assert (result.row_count, result.truncated_by, result.total_count) == (1, "bytes", None)


async def test_counting_stops_at_its_time_limit_and_the_rows_stay(sample_database: EmbeddedDatabase) -> None:
    config = UNGATED.model_copy(update={"display_rows": 3, "count_timeout_s": 0.1, "count_bound": 10**9})
    executor = SqlExecutor(sample_database.dsn, config)
    result = await executor.run(make_request("SELECT a.id FROM labor a, labor b"))
    await executor.close()
    assert (result.row_count, result.total_count, result.truncated) == (3, None, True)


async def test_database_that_is_down_at_start() -> None:
    executor = SqlExecutor("postgresql://nobody:secret@127.0.0.1:1/none")
    health = await executor.health()
    assert not health.ok
    assert "secret" not in health.detail
    for call in (executor.run(make_request("SELECT 1")), executor.schema()):
        with pytest.raises(DatabaseUnavailable) as caught:
            await call
        assert "127.0.0.1" not in caught.value.message
    await executor.close()


async def test_wrong_password_is_a_database_that_cannot_be_reached(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(f"postgresql://plumbline_reader:wrong@127.0.0.1:{sample_database.port}/plumbline")
    with pytest.raises(DatabaseUnavailable):
        await executor.run(make_request("SELECT 1"))
    await executor.close()


@pytest.mark.parametrize("dsn", ["", "nonsense", "mysql://host/db", "postgresql://host:port/db"])
async def test_a_dsn_that_cannot_be_read(dsn: str) -> None:
    executor = SqlExecutor(dsn or "postgresql://")
    assert not (await executor.health()).ok
    await executor.close()


async def test_a_connection_that_died_unnoticed_is_replaced(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn)
    await executor.run(make_request("SELECT 1"))

    async def terminate() -> None:
        admin = await asyncpg.connect(sample_database.admin_dsn)
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'plumbline_reader'"
        )
        await admin.close()

    with ThreadPoolExecutor() as thread:
        # The wait blocks this loop on purpose, so that the executor does not see its connection close.
        thread.submit(asyncio.run, terminate()).result()
    assert (await executor.run(make_request("SELECT 2"))).rows == ((2,),)
    await executor.close()


async def test_a_server_without_free_connections_ends_no_running_statement(
    sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = SqlExecutor(sample_database.dsn)
    running = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(0.5), 1 AS one")))

    async def is_running() -> bool:
        figures = executor._accesses.reader.pool.figures()
        return figures["connections"] > figures["idle_connections"]

    await wait_until(is_running)
    before = await executor._accesses.reader.pool._current()

    async def refuse(*_: object, **__: object) -> None:
        raise asyncpg.TooManyConnectionsError("sorry, too many clients already")

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.pool.Pool, "acquire", refuse)
        with pytest.raises(Overloaded):
            await executor.run(make_request("SELECT 1"))
    assert await executor._accesses.reader.pool._current() is before
    assert (await running).rows[0][1] == 1
    await executor.close()


async def test_health_answers_while_all_connections_are_busy(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(max_concurrent_queries=1))
    call = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(0.5)")))
    health = await executor.health()
    await call
    await executor.close()
    assert health.ok
    assert "plumbline_reader" not in health.model_dump_json()


async def test_a_statement_that_the_server_does_not_stop_is_told(
    sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "DISCARD_TIMEOUT_S", 0.2)
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(statement_timeout_s=0.2))
    # Quadratic in the length, without a look at interrupts; some seconds of it, then it ends by itself.
    endless = (
        "SELECT strpos(repeat('a', n), 'b' || repeat('a', n / 2)) "
        "FROM (SELECT 240000 + id * 0 AS n FROM projects LIMIT 1) q"
    )
    with pytest.raises(ExecutionTimeout):
        await executor.run(make_request(endless))

    async def told() -> bool:
        return (await executor.health()).figures["unstopped_statements"] == 1

    await wait_until(told)
    await executor.close()
    (record,) = (r for r in caplog.records if r.name == "plumbline.executor" and r.levelname == "ERROR")
    assert "did not stop" in record.message
    assert record.__dict__["backend_pid"] > 0
