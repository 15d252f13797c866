"""Rows by organization on the real server: whatever a statement says, it reads what its login may read."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from executor_helpers import make_request

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from deployments.executor.organizations import AccessRules, ListedLogins, RoleLogins, logins, with_user
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies
from deployments.sql_validator.validator import Validator
from serve_app.contracts import Caller, ExecutionResult, SchemaSnapshot, ValidSql
from serve_app.errors import PermissionDenied, PlumblineError
from tests.postgres_fixture import make_state_folder

pytestmark = pytest.mark.postgres

EVAL = Path(__file__).parents[2] / "data" / "eval"
ORGANIZATIONS = ("1", "2")
TABLES = ("organizations", "projects", "vendors", "expenses", "documents", "cashflow", "materials", "labor")
# What reads or sets who one is, with the checks of statements out of the way.
ESCAPES = json.loads((Path(__file__).parents[2] / "data" / "identity" / "escapes.json").read_text())


def caller(organization: str | None) -> Caller:
    return Caller(user_id="ann", organization_id=organization)


def rules(database: EmbeddedDatabase, strict: bool = True) -> AccessRules:
    login = ListedLogins(database.dsn, database.organization_dsns)
    return AccessRules(login, strict=strict, policies=Policies.load(POLICIES_FOLDER))


@pytest.fixture
async def scoped(sample_database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    executor = SqlExecutor(sample_database.dsn, access=rules(sample_database))
    yield executor
    await executor.close()


async def run(executor: SqlExecutor, sql: str, organization: str | None) -> ExecutionResult:
    request = make_request(sql).model_copy(update={"caller": caller(organization)})
    return await executor.run(request)


def golds() -> list[str]:
    """Every hand-written statement of the development questions."""
    single = [json.loads(line) for line in (EVAL / "single.jsonl").read_text().splitlines()]
    talks = [json.loads(line) for line in (EVAL / "conversations.jsonl").read_text().splitlines()]
    turns = [*single, *(turn for talk in talks for turn in talk["turns"])]
    return list(dict.fromkeys(turn["gold"][0] for turn in turns))


class OneOrganization:
    """The database as if there were no other organization: its rows are deleted and never committed."""

    def __init__(self, admin: "asyncpg.Connection[asyncpg.Record]", organization: str) -> None:
        self._admin = admin
        self._organization = organization

    async def __aenter__(self) -> "asyncpg.Connection[asyncpg.Record]":
        self._transaction = self._admin.transaction()
        await self._transaction.start()
        others = f"SELECT id FROM projects WHERE organization_id <> {self._organization}"
        for table in ("expenses", "documents", "cashflow", "materials", "labor"):
            await self._admin.execute(f"DELETE FROM {table} WHERE project_id IN ({others})")
        for table in ("projects", "vendors"):
            await self._admin.execute(f"DELETE FROM {table} WHERE organization_id <> {self._organization}")
        await self._admin.execute(f"DELETE FROM organizations WHERE id <> {self._organization}")
        return self._admin

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.rollback()


def comparable(rows: list[Any]) -> list[str]:
    return sorted(json.dumps([str(value) for value in row]) for row in rows)


@pytest.mark.parametrize("organization", ORGANIZATIONS)
async def test_every_accepted_statement_gives_what_the_organization_alone_would(
    scoped: SqlExecutor,
    admin: "asyncpg.Connection[asyncpg.Record]",
    organization: str,
) -> None:
    """The development questions' statements, against a database that holds no other organization."""
    validator = Validator(Policies.load(POLICIES_FOLDER))
    schema = await scoped.schema()
    checked = [(sql, validator.validate(sql, "default", schema)) for sql in golds()]
    accepted = [(sql, verdict) for sql, verdict in checked if isinstance(verdict, ValidSql)]
    assert len(accepted) >= 100
    differing = []
    async with OneOrganization(admin, organization) as alone:
        for sql, verdict in accepted:
            # The same text form of every value on both sides.
            texts = f"SELECT row_to_json(r)::text FROM ({verdict.sql}) AS r"
            expected = comparable([tuple(row) for row in await alone.fetch(texts)])
            found = await run(scoped, texts, organization)
            if not found.truncated and comparable(list(found.rows)) != expected:
                differing.append(sql)
    assert differing == []


@pytest.mark.parametrize("table", TABLES)
async def test_both_organizations_see_rows_and_together_all_of_them(
    scoped: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]", table: str
) -> None:
    counted = [int((await run(scoped, f"SELECT count(*) FROM {table}", o)).rows[0][0]) for o in ORGANIZATIONS]
    everything = int(await admin.fetchval(f"SELECT count(*) FROM {table}"))
    assert all(counted)
    assert sum(counted) == everything
    assert int((await run(scoped, f"SELECT count(*) FROM {table}", None)).rows[0][0]) == everything


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape["title"])
async def test_no_statement_changes_whose_rows_it_reads(scoped: SqlExecutor, escape: dict[str, str]) -> None:
    """Raw SQL on the executor's own connection, as if the validator had let everything pass."""
    try:
        found = await run(scoped, escape["sql"], "1")
    except PlumblineError:
        found = None
    told = json.dumps(found.rows if found else [])
    assert "Summit" not in told
    assert "Granite" not in told
    # Nor does anything stay behind for the next statement of the connection.
    after = await run(scoped, "SELECT name FROM organizations", "1")
    assert after.rows == (("Northwind Builders",),)


async def test_raw_statements_on_the_login_itself_do_not_cross(sample_database: EmbeddedDatabase) -> None:
    """Even with several statements at once, which the executor never sends."""
    connection = await asyncpg.connect(sample_database.organization_dsns["1"])
    try:
        for sql in (
            "SET ROLE plumbline_org_2",
            "SET ROLE plumbline_reader",
            "SET SESSION AUTHORIZATION plumbline_org_2",
            "SET row_security = off; SELECT * FROM projects",
            "ALTER ROLE plumbline_org_1 BYPASSRLS",
            "ALTER TABLE projects DISABLE ROW LEVEL SECURITY",
            "DROP POLICY own_organization ON projects",
            "CREATE VIEW everything AS SELECT * FROM projects",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(sql)
            await connection.execute("RESET ALL")
        assert await connection.fetchval("SELECT count(DISTINCT organization_id) FROM projects") == 1
    finally:
        await connection.close()


async def test_a_role_without_a_policy_sees_no_row(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("CREATE ROLE stranger_with_grants LOGIN PASSWORD 'x'")
    try:
        await admin.execute(
            "GRANT CONNECT ON DATABASE plumbline TO stranger_with_grants;"
            "GRANT USAGE ON SCHEMA public TO stranger_with_grants;"
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger_with_grants"
        )
        dsn = with_user(sample_database.dsn, "stranger_with_grants").replace("@", ":x@")
        connection = await asyncpg.connect(dsn)
        try:
            assert [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES] == [0] * 8
        finally:
            await connection.close()
    finally:
        await admin.execute("DROP OWNED BY stranger_with_grants; DROP ROLE stranger_with_grants")


async def test_an_unknown_organization_is_refused_and_is_a_label_where_nobody_is_asked(
    scoped: SqlExecutor, sample_database: EmbeddedDatabase
) -> None:
    for sql_or_schema in (run(scoped, "SELECT 1 AS n", "3"), scoped.schema(caller=caller("3"))):
        with pytest.raises(PermissionDenied, match="not set up"):
            await sql_or_schema
    lenient = SqlExecutor(sample_database.dsn, access=rules(sample_database, strict=False))
    assert (await run(lenient, "SELECT count(*) FROM organizations", "acme")).rows == ((2,),)
    assert (await run(lenient, "SELECT count(*) FROM organizations", "2")).rows == ((1,),)
    await lenient.close()


def names(schema: SchemaSnapshot) -> set[str]:
    return {value for table in schema.tables for column in table.columns for value in column.sample_values}


async def test_the_schema_holds_the_values_of_the_callers_organization_alone(
    scoped: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    rows = await admin.fetch(
        "SELECT name AS value, organization_id AS id FROM projects UNION ALL "
        "SELECT name, organization_id FROM vendors UNION ALL SELECT title, organization_id FROM documents d "
        "JOIN projects p ON p.id = d.project_id UNION ALL SELECT DISTINCT worker_name, organization_id "
        "FROM labor l JOIN projects p ON p.id = l.project_id UNION ALL SELECT name, id FROM organizations"
    )
    owners: dict[str, set[int]] = {}
    for row in rows:
        owners.setdefault(row["value"], set()).add(row["id"])
    for organization in (1, 2):
        seen = names(await scoped.schema(caller=caller(str(organization))))
        own = {value for value, ids in owners.items() if organization in ids}
        assert not seen & (owners.keys() - own)
        projects = {value for value in own & seen if value in {r["value"] for r in rows[:24]}}
        assert len(projects) == 12
    everything = names(await scoped.schema(caller=caller(None)))
    assert {"Granite Hotel", "Downtown Office Tower"} <= everything


async def test_the_policy_takes_columns_out_of_the_schema(scoped: SqlExecutor) -> None:
    restricted = Caller(user_id="ann", organization_id="1", policy="restricted")
    labor = (await scoped.schema(caller=restricted)).table("labor")
    assert labor is not None
    assert {"worker_name", "hourly_rate"}.isdisjoint(c.name for c in labor.columns)
    with pytest.raises(PermissionDenied):
        await scoped.schema(caller=Caller(user_id="ann", policy="no-such-policy"))


async def test_connections_of_few_organizations_stay_open(sample_database: EmbeddedDatabase) -> None:
    executor = SqlExecutor(
        sample_database.dsn, ExecutorConfig(organization_pools=1), access=rules(sample_database)
    )
    for organization in ("1", "2", "1"):
        found = await run(executor, "SELECT id FROM organizations", organization)
        assert found.rows == ((int(organization),),)
        assert (await executor.health()).figures["organizations_open"] == 1
    await executor.close()


async def test_many_callers_at_once_each_get_their_own_rows(scoped: SqlExecutor) -> None:
    asked = [ORGANIZATIONS[n % 2] for n in range(20)]
    found = await asyncio.gather(*(run(scoped, "SELECT id FROM organizations", o) for o in asked))
    assert [result.rows for result in found] == [((int(o),),) for o in asked]


async def test_roles_of_ones_own_database_log_in_with_a_password_file(
    sample_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    dsn = sample_database.organization_dsns["2"]
    password = dsn.split(":")[2].split("@")[0]
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:plumbline_org_2:{password}\n")
    passfile.chmod(0o600)
    login = logins(sample_database.dsn, None, "plumbline_org_{organization}")
    executor = SqlExecutor(sample_database.dsn, access=AccessRules(login, strict=True, passfile=passfile))
    assert (await run(executor, "SELECT name FROM organizations", "2")).rows == (
        ("Summit Construction Group",),
    )
    for nobody in ("9", "1"):
        with pytest.raises(PermissionDenied, match="not set up"):
            await run(executor, "SELECT 1 AS n", nobody)
    await executor.close()


def test_a_template_takes_plain_ids_alone_and_a_mapping_what_it_holds() -> None:
    by_template = RoleLogins("postgresql://r:p@h:1/d", "org_{organization}")
    assert by_template("7") == "postgresql://org_7@h:1/d"
    assert by_template(None) == "postgresql://r:p@h:1/d"
    assert [by_template(bad) for bad in ("a b", "x@evil/", "", "é", "a" * 41)] == [None] * 5
    by_mapping = RoleLogins("postgresql://r:p@h:1/d", {"acme": "a/b"})
    assert by_mapping("acme") == "postgresql://a%2Fb@h:1/d"
    assert by_mapping("other") is None


async def test_an_organization_that_is_gone_may_not_log_in(tmp_path: Path) -> None:
    """The policies come back with the tables, and the roles go with their organizations."""
    from deployments.executor.embedded import SAMPLE_FILES, EmbeddedPostgres

    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        gone = (await asyncio.to_thread(server.start)).organization_dsns["2"]
        for name in ("schema.sql", "seed.sql", "security.sql"):
            (tmp_path / name).write_text((SAMPLE_FILES / name).read_text(encoding="utf-8"))
        with (tmp_path / "schema.sql").open("a") as schema:
            schema.write("\n-- changed\n")
        (tmp_path / "seed.sql").write_text("INSERT INTO organizations VALUES (1, 'One'), (3, 'Three');")
        again = await asyncio.to_thread(EmbeddedPostgres(folder, sample_files=tmp_path).start)
        assert sorted(again.organization_dsns) == ["1", "3"]
        connection = await asyncpg.connect(again.organization_dsns["3"])
        assert await connection.fetch("SELECT id FROM organizations") == [(3,)]
        await connection.close()
        with pytest.raises(asyncpg.PostgresError):
            await asyncpg.connect(gone)
    finally:
        server.stop()
