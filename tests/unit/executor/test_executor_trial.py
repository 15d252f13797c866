"""Candidates on the real server: compared under small limits, on one connection, each failing by itself."""

import asyncpg
import pytest
from asyncpg.transaction import Transaction
from executor_helpers import CALLER, make_request, wait_until

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from serve_app.contracts import TrialFailed, TrialOutcome, TrialRequest, Tried, ValidSql
from serve_app.errors import DatabaseUnavailable, Overloaded

pytestmark = pytest.mark.postgres

SLOW = "SELECT count(*) FROM labor a, labor b, labor c WHERE a.hours + b.hours + c.hours > 0"


# As large as plans come: time limits are tested on what the planner would warn of.
UNGATED = ExecutorConfig(max_plan_cost=1e30, max_plan_rows=10**30)


def make_trial(*statements: str, timeout_s: float = 10.0, row_cap: int = 1_000_000) -> TrialRequest:
    checked = tuple(
        ValidSql(sql=sql, tables=(), row_cap=row_cap, cap_applied=False, ordered="ORDER BY" in sql.upper())
        for sql in statements
    )
    return TrialRequest(request_id="test", statements=checked, caller=CALLER, timeout_s=timeout_s)


async def tried(executor: SqlExecutor, *statements: str) -> tuple[TrialOutcome, ...]:
    return await executor.trial(make_trial(*statements))


def ran(outcome: TrialOutcome) -> Tried:
    assert isinstance(outcome, Tried), outcome
    return outcome


async def test_equal_rows_in_other_words_have_the_same_digest(executor: SqlExecutor) -> None:
    outcomes = await tried(
        executor,
        "SELECT name, budget FROM projects",
        "SELECT p.budget::numeric(20, 4) AS b, p.name FROM projects p ORDER BY p.id",
        "SELECT name, budget FROM projects WHERE id > 1",
    )
    one, same, other = map(ran, outcomes)
    assert one.digest == same.digest != other.digest
    assert (one.order_digest, same.order_digest is None) == (None, False)


async def test_an_order_by_makes_the_order_count(executor: SqlExecutor) -> None:
    up, down = await tried(
        executor, "SELECT name FROM projects ORDER BY id", "SELECT name FROM projects ORDER BY id DESC"
    )
    assert ran(up).digest == ran(down).digest
    assert ran(up).order_digest != ran(down).order_digest


async def test_a_whole_result_is_the_one_that_a_run_gives(executor: SqlExecutor) -> None:
    sql = "SELECT name, budget, start_date FROM projects ORDER BY id"
    (outcome,) = await tried(executor, sql)
    result = await executor.run(make_request(sql))
    whole = ran(outcome).result
    assert whole is not None
    assert whole.model_copy(update={"execution_ms": 0.0}) == result.model_copy(update={"execution_ms": 0.0})


async def test_a_result_beyond_the_small_limit_is_compared_by_its_beginning(
    sample_database: EmbeddedDatabase,
) -> None:
    executor = SqlExecutor(sample_database.dsn, ExecutorConfig(trial_rows=3))
    many, few = await tried(
        executor, "SELECT id FROM projects", "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3"
    )
    await executor.close()
    assert (ran(many).result, ran(many).row_count) == (None, 3)
    assert ran(few).result is not None


async def test_a_result_that_fills_the_cap_is_not_whole(executor: SqlExecutor) -> None:
    statement = ValidSql(sql="SELECT 1 LIMIT 1", tables=(), row_cap=1, cap_applied=True)
    request = TrialRequest(request_id="t", statements=(statement,), caller=CALLER, timeout_s=5)
    assert ran((await executor.trial(request))[0]).result is None


@pytest.mark.parametrize(
    ("sql", "has_values"), [("SELECT NULL::int", False), ("SELECT 1 WHERE false", False), ("SELECT 0", True)]
)
async def test_results_that_say_nothing_are_told(executor: SqlExecutor, sql: str, has_values: bool) -> None:
    assert ran((await tried(executor, sql))[0]).has_values is has_values


async def test_each_failure_is_its_own_statement_s(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, UNGATED.model_copy(update={"trial_timeout_s": 0.2}))
    outcomes = await tried(
        executor,
        "SELECT 1 / (id - id) FROM projects",
        "SELECT nothing FROM projects",
        SLOW,
        "SELECT rolpassword FROM pg_authid",
        "DELETE FROM projects",
        "SELECT $1::int",
        "SELECT count(*) FROM projects",
    )
    kinds = [outcome.kind if isinstance(outcome, TrialFailed) else "ran" for outcome in outcomes]
    assert kinds == ["failed", "outdated", "timeout", "denied", "denied", "failed", "ran"]

    async def closed() -> bool:
        return executor._accesses.reader.pool.figures()["connections"] == 0

    # One connection has seen it all, and is not used again after the timeout.
    await wait_until(closed)
    await executor.close()


async def test_a_candidate_with_too_wide_a_row_fails_alone(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, UNGATED)
    wide = "SELECT string_agg(description, '') FROM expenses CROSS JOIN generate_series(1, 40)"
    first, second, third = await tried(executor, "SELECT 1", wide, "SELECT 2")
    assert ran(first).row_count == 1
    assert isinstance(second, TrialFailed)
    assert second.kind == "failed"
    assert isinstance(third, TrialFailed)
    assert ran((await tried(executor, "SELECT 3"))[0]).row_count == 1
    await executor.close()


async def test_failures_do_not_cost_the_connection(executor: SqlExecutor) -> None:
    await tried(executor, "SELECT 1 / (id - id) FROM projects", "SELECT nothing FROM projects", "SELECT 1")
    figures = executor._accesses.reader.pool.figures()
    assert (figures["connections"], figures["idle_connections"]) == (1, 1)


async def test_the_whole_trial_ends_in_time(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(sample_database.dsn, UNGATED)
    outcomes = await executor.trial(make_trial(SLOW, SLOW, "SELECT 1", timeout_s=0.2))
    await executor.close()
    assert all(isinstance(o, TrialFailed) and o.kind == "timeout" for o in outcomes)


async def test_no_database_and_no_place_are_errors_of_the_whole_trial() -> None:
    nowhere = SqlExecutor("postgresql://nobody@127.0.0.1:1/none", ExecutorConfig(connect_timeout_s=0.5))
    with pytest.raises(DatabaseUnavailable):
        await nowhere.trial(make_trial("SELECT 1"))
    nowhere._queries = 1_000
    with pytest.raises(Overloaded):
        await nowhere.trial(make_trial("SELECT 1"))


# What the driver says of a session that the server has ended, depending on how much of that it has read.
ENDED = (
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    asyncpg.InterfaceError("connection is closed"),
    ConnectionResetError(),
)


@pytest.mark.parametrize("ended", ENDED, ids=lambda error: type(error).__name__)
async def test_a_session_that_ends_between_candidates_is_a_database_that_is_away(
    sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch, ended: Exception
) -> None:
    executor = SqlExecutor(sample_database.dsn)
    start = Transaction.start
    begun: list[Transaction] = []

    async def start_once(transaction: Transaction) -> None:
        begun.append(transaction)
        if len(begun) > 1:
            raise ended
        await start(transaction)

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "start", start_once)
        with pytest.raises(DatabaseUnavailable):
            await tried(executor, "SELECT 1 AS one", "SELECT 2 AS two")
    (outcome, _) = await tried(executor, "SELECT 1 AS one", "SELECT 2 AS two")
    assert ran(outcome).row_count == 1
    await executor.close()


@pytest.mark.parametrize("ended", ENDED, ids=lambda error: type(error).__name__)
async def test_a_session_that_ends_after_the_last_row_costs_nothing(
    sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch, ended: Exception
) -> None:
    executor = SqlExecutor(sample_database.dsn)

    async def end(_: Transaction) -> None:
        raise ended

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "rollback", end)
        assert (await executor.run(make_request("SELECT 1"))).rows == ((1,),)
    assert (await executor.run(make_request("SELECT 2"))).rows == ((2,),)
    await executor.close()
