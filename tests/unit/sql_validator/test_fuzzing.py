"""A short fuzzing run, PostgreSQL's own regression suite, and proof that the judge of both can say no."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres
from tests.fuzz.__main__ import fuzz
from tests.fuzz.coordinator import Plan, Slot, Totals
from tests.fuzz.oracle import Catalog, Oracle
from tests.fuzz.server import fingerprint, prepare
from tests.fuzz.statements import batch
from tests.fuzz.worker import POLICIES, Task
from tests.postgres_fixture import make_state_folder
from tests.sql_cases import validator

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).resolve().parents[3]
REGRESSION = ROOT.parent / "shared" / "sql_safety" / "pg_regress_statements.jsonl"
SEED = 20_261_128

# Reads JSON lines with SQL and writes the verdicts; in a process of its own, which a parser may kill.
VERDICTS_PROGRAM = """
import json, sys
from tests.sql_cases import validator
for line in sys.stdin.buffer:
    verdict = validator().validate(json.loads(line)["sql"], "default")
    print(json.dumps(verdict.sql if verdict.accepted else {"rule": verdict.first.rule}))
"""

# Past the validator, each of these must be seen by the judge. The first is planned without a check of rights.
OUTSIDE = [
    ("WITH unused AS (SELECT * FROM app_users) SELECT 1", "relation public.app_users"),
    ("WITH unused AS (SELECT hourly_rate FROM labor) SELECT 1", "column labor.hourly_rate"),
    ("WITH unused AS (SELECT l FROM labor l) SELECT 1", "column labor.#0"),
    ("WITH unused AS (SELECT ctid FROM labor) SELECT 1", "column labor.ctid"),
    ("WITH unused AS (SELECT relname FROM pg_class) SELECT 1", "relation pg_catalog.pg_class"),
    ("SELECT hourly_rate FROM labor", "42501"),
    ("SELECT * FROM hr.salaries", "42501"),
    ("SELECT secret_lookup(1)", "function ('public', 'secret_lookup')"),
    ("SELECT 1 OPERATOR(public.#+#) 2", "operator ('public', '#+#'"),
    ("SELECT set_config('a.b', 'c', true)", "function ('pg_catalog', 'set_config')"),
    ("SELECT CURRENT_USER", "value "),
    ("SELECT 'labor'::regclass", "type ('pg_catalog', 'regclass')"),
    ("SELECT NULL::labor", "type ('public', 'labor')"),
    ("SELECT id FROM projects FOR UPDATE", "node ROWMARKCLAUSE"),
    ("SELECT nosuch FROM projects", "42703"),
    ("SELECT 1 FROM nosuch", "42P01"),
    ("SELECT FROM WHERE", "grammar"),
]


@pytest.fixture(scope="module")
def guarded_database() -> Iterator[EmbeddedDatabase]:
    """A server of its own: what must stay unreachable is put into it."""
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def dsns(guarded_database: EmbeddedDatabase) -> dict[str, str]:
    rights = {policy: validator().policies.rights(policy, None) for policy in POLICIES}
    return asyncio.run(prepare(guarded_database, rights))


async def connect_oracle(database: EmbeddedDatabase, dsns: dict[str, str], policy: str) -> Oracle:
    admin = await asyncpg.connect(database.admin_dsn)
    try:
        catalog = await Catalog.read(admin)
    finally:
        await admin.close()
    return await Oracle.connect(dsns[policy], catalog, validator().policies.rights(policy, None))


async def test_the_judge_sees_what_lies_outside(
    guarded_database: EmbeddedDatabase, dsns: dict[str, str]
) -> None:
    oracle = await connect_oracle(guarded_database, dsns, "restricted")
    for sql, words in OUTSIDE:
        _, broken = await oracle.judge(sql)
        assert words in "; ".join(broken), (sql, broken)
    assert await oracle.judge("SELECT trade, sum(hours)::text FROM labor GROUP BY trade") == ("00000", [])
    await oracle.close()


def test_a_short_run_finds_nothing(guarded_database: EmbeddedDatabase) -> None:
    figures = fuzz(Plan(SEED, statements=3_000, minutes=10.0, workers=1), guarded_database)
    assert figures["failures"] == []
    assert figures["database_unchanged"]
    assert figures["generated"] == 3_000
    assert figures["accepted_distinct"] > 200
    assert figures["server_planned"] > 200
    assert len(figures["rejected_by_rule"]) > 12


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGPROF, "hang"), (signal.SIGSEGV, "crash")], ids=["hang", "crash"]
)
def test_a_death_is_recorded_with_its_statement_and_nothing_else_is_lost(
    number: signal.Signals, kind: str, guarded_database: EmbeddedDatabase, dsns: dict[str, str]
) -> None:
    slot = Slot(Plan(SEED, 40, 10.0, 1), guarded_database.admin_dsn, dsns)
    totals = Totals()
    try:
        slot.wait_until_ready()
        slot.give(iter([Task(SEED, 0, 40)]), True)
        os.kill(slot.process_id, number)
        with pytest.raises((EOFError, ConnectionResetError)):
            slot.pipe.recv()
        found = slot.bury()
        while slot.pending:
            slot.give(iter([]), True)
            totals.add(slot.pipe.recv())
        slot.task = None
    finally:
        slot.stop()
    assert found["kind"] == kind
    assert found["sql"] in {s.sql for s in batch(SEED, 0, 40)}
    assert totals.generated == 39


def test_the_kernel_ends_what_takes_too_long() -> None:
    """The worker's own watchdog: it must also end C code that never comes back to Python."""
    program = "import signal, re; signal.setitimer(signal.ITIMER_PROF, 0.2); re.match('(a*)*b', 'a' * 40)"
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert ended.returncode == -signal.SIGPROF


def test_a_seed_makes_the_same_statements() -> None:
    assert list(batch(1, 2, 50)) == list(batch(1, 2, 50)) != list(batch(2, 2, 50))


@pytest.fixture(scope="module")
def regression_verdicts() -> list[tuple[dict[str, Any], Any]]:
    """Each statement with the text that would run, or the rule that refused it."""
    if not REGRESSION.is_file():
        pytest.skip("PostgreSQL's regression statements are not on this machine")
    statements = [json.loads(line) for line in REGRESSION.read_text(encoding="utf-8").splitlines()]
    program = subprocess.run(
        [sys.executable, "-c", VERDICTS_PROGRAM],
        input="".join(json.dumps({"sql": s["sql"]}) + "\n" for s in statements),
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
        check=True,
    )
    return list(zip(statements, map(json.loads, program.stdout.splitlines()), strict=True))


def test_no_statement_of_the_regression_suite_that_is_no_read_is_accepted(
    regression_verdicts: list[tuple[dict[str, Any], Any]],
) -> None:
    assert [s["sql"] for s, v in regression_verdicts if isinstance(v, str) and not s["is_read"]] == []
    assert [s["sql"] for s, v in regression_verdicts if v == {"rule": "internal"}] == []


async def test_accepted_statements_of_the_regression_suite_stay_inside_and_write_nothing(
    regression_verdicts: list[tuple[dict[str, Any], Any]],
    guarded_database: EmbeddedDatabase,
    dsns: dict[str, str],
) -> None:
    accepted = sorted({v for _, v in regression_verdicts if isinstance(v, str)})
    assert len(accepted) > 500
    before = await fingerprint(guarded_database.admin_dsn)
    oracle = await connect_oracle(guarded_database, dsns, "default")
    runner = await asyncpg.connect(dsns["default"], statement_cache_size=0)
    outside = []
    for sql in accepted:
        _, broken = await oracle.judge(sql)
        outside += [(sql, broken)] if broken else []
        try:
            await runner.execute(sql)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError) as fault:
            pytest.fail(f"{fault}: {sql}")
        except asyncpg.PostgresError:
            continue
    await runner.close()
    await oracle.close()
    assert outside == []
    assert await fingerprint(guarded_database.admin_dsn) == before
