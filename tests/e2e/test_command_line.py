"""From nothing to true rows and back to nothing, over the commands of the README."""

import json
from decimal import Decimal

import asyncpg
import httpx
import psutil
import pytest

from tests.cli_support import Operator

pytestmark = pytest.mark.e2e


def test_every_stage_is_ready(running: Operator) -> None:
    facts = running.status()
    assert (facts["running"], facts["ready"], facts["database"]) == (True, True, "embedded")
    assert httpx.get(f"{running.url}/ready").status_code == 200


def test_only_this_machine_is_served(running: Operator) -> None:
    """The HTTP port; Serve's ports between replicas are on every interface, behind the instance's token."""
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == running.port
    }
    assert listening == {"127.0.0.1"}


async def test_a_question_gets_the_rows_that_the_database_has(running: Operator) -> None:
    asked = running.run("ask", "--json", "How much was spent on permits in Q1 2025?")
    assert asked.returncode == 0, asked.stdout
    answer = json.loads(asked.stdout)
    connection = await asyncpg.connect(running.run("database-url").stdout.strip())
    try:
        truth = await connection.fetchval(
            "SELECT sum(amount) FROM expenses WHERE category = 'permits' "
            "AND date >= '2025-01-01' AND date < '2025-04-01'"
        )
    finally:
        await connection.close()
    (row,) = answer["data"]["rows"]
    assert [Decimal(str(value)) for value in row.values()] == [truth]
    assert "expenses" in answer["sql"]


def test_a_second_up_says_where_the_first_is(running: Operator) -> None:
    again = running.run("up", "--detach")
    assert (again.returncode, again.stdout) == (0, f"{running.url}\n")
    assert "already runs" in again.stderr


def test_a_taken_port_is_told(running: Operator, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = running.run("up", "--detach", PLUMBLINE_DATA_DIR=str(tmp_path_factory.mktemp("other")))
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert f"port {running.port}" in other.stderr


def test_sql_is_checked_the_same_with_and_without_a_server(running: Operator) -> None:
    for sql, accepted in (("SELECT name FROM projects", True), ("DROP TABLE projects", False)):
        body = {"sql": sql, "user_id": "e2e"}
        over_http = httpx.post(f"{running.url}/api/sql/validate", json=body).json()
        assert over_http["accepted"] is accepted
        assert running.run("validate", given=sql).returncode == (0 if accepted else 1)


async def test_the_printed_role_cannot_write(running: Operator) -> None:
    connection = await asyncpg.connect(running.run("database-url").stdout.strip())
    try:
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM expenses")
    finally:
        await connection.close()


def test_the_schema_is_shown(running: Operator) -> None:
    shown = running.run("schema")
    assert shown.returncode == 0
    assert shown.stdout.count("TABLE ") == 8


def test_an_evaluation_runs_against_it(running: Operator) -> None:
    scored = running.run("eval", "tests/data/eval/clarify.jsonl", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["files"][0]["score"]["asked"] == 40
