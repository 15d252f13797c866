"""PostgreSQL as the judge: what the validator accepts, the restricted role may run, with the same rows."""

from collections.abc import AsyncIterator
from random import Random
from urllib.parse import urlsplit

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from serve_app.contracts import ValidSql
from tests.sql_cases import QueryMaker, attack_items, validator

pytestmark = pytest.mark.postgres

ROLE = "validator_columns"
# A forbidden table, and a role with exactly the columns of the policy `restricted`.
SET_UP = f"""
    CREATE TABLE IF NOT EXISTS app_users (id int, password_hash text, hourly_rate numeric);
    CREATE ROLE {ROLE} LOGIN PASSWORD 'columns' NOINHERIT;
    GRANT CONNECT ON DATABASE {{database}} TO {ROLE};
    GRANT USAGE ON SCHEMA public TO {ROLE};
    GRANT SELECT ON organizations, projects, vendors, expenses, documents, cashflow, materials TO {ROLE};
    GRANT SELECT (id, project_id, trade, work_date, hours) ON labor TO {ROLE};
"""
TEAR_DOWN = f"DROP TABLE app_users; DROP OWNED BY {ROLE}; DROP ROLE {ROLE};"
# Names are the resolver's promise; types and grouping are the server's to judge.
BROKEN_PROMISES = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.ReadOnlySQLTransactionError,
)


@pytest.fixture
async def restricted(sample_database: EmbeddedDatabase) -> AsyncIterator[asyncpg.Connection]:
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute(SET_UP.format(database=urlsplit(sample_database.admin_dsn).path.strip("/")))
    address = urlsplit(sample_database.admin_dsn)
    connection = await asyncpg.connect(
        host=address.hostname,
        port=address.port,
        database=address.path.strip("/"),
        user=ROLE,
        password="columns",
        statement_cache_size=0,
    )
    try:
        yield connection
    finally:
        await connection.close()
        await admin.execute(TEAR_DOWN)
        await admin.close()


async def test_no_accepted_random_query_is_refused_for_its_names(restricted: asyncpg.Connection) -> None:
    random = Random(20_261_120)
    accepted = 0
    for _ in range(3_000):
        sql = QueryMaker(random).query()
        verdict = validator().validate(sql, "restricted")
        if not isinstance(verdict, ValidSql):
            continue
        accepted += 1
        try:
            async with restricted.transaction(readonly=True):
                await restricted.fetch(f"EXPLAIN {verdict.sql}")
        except BROKEN_PROMISES as fault:
            pytest.fail(f"{fault}: {sql} -> {verdict.sql}")
        except asyncpg.PostgresError:
            continue
    assert accepted > 30


@pytest.mark.parametrize("item", attack_items("must_accept"), ids=lambda item: item["id"])
async def test_the_rewritten_text_gives_the_same_rows(
    item: dict[str, str], sample_database: EmbeddedDatabase
) -> None:
    verdict = validator().validate(item["sql"], item["policy"])
    assert isinstance(verdict, ValidSql)
    connection = await asyncpg.connect(sample_database.dsn, statement_cache_size=0)
    try:
        async with connection.transaction(readonly=True):
            before = await connection.fetch(item["sql"])
            after = await connection.fetch(verdict.sql)
    finally:
        await connection.close()
    assert [list(row.items()) for row in after] == [list(row.items()) for row in before][: verdict.row_cap]
