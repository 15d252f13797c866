"""Functions and operators of a database's own under PostgreSQL's names: found, told of and never called."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from deployments.executor.config import ExecutorConfig, IntrospectionConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from deployments.executor.role.checks import Finding, examine
from deployments.executor.role.facts import read_facts
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies
from serve_app.contracts import Column, RejectedSql, SchemaSnapshot, Table
from serve_app.database_role import wanted
from tests.sql_cases import validator

SCHEMA = "careless"
# The sample database gives no function to everyone; an ordinary one gives every function.
SET_UP = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TYPE {SCHEMA}.mood AS ENUM ('sad', 'happy');
CREATE FUNCTION {SCHEMA}.round(text) RETURNS text LANGUAGE sql AS $$ SELECT 'reached' $$;
CREATE FUNCTION {SCHEMA}.abs(numeric) RETURNS numeric LANGUAGE sql AS $$ SELECT -1.0 $$;
CREATE FUNCTION {SCHEMA}.joined(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'reached' $$;
CREATE FUNCTION {SCHEMA}.level({SCHEMA}.mood) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE OPERATOR {SCHEMA}.+ (LEFTARG = text, RIGHTARG = text, FUNCTION = {SCHEMA}.joined);
CREATE CAST ({SCHEMA}.mood AS int) WITH FUNCTION {SCHEMA}.level({SCHEMA}.mood);
GRANT USAGE ON SCHEMA {SCHEMA} TO plumbline_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {SCHEMA} TO PUBLIC;
"""
REACHING = ("SELECT round('x'::text)", "SELECT 'x'::text + 'y'::text")


@pytest_asyncio.fixture
async def careless(sample_database: EmbeddedDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The administrator's connection to a database with overloads in a schema that the reader searches."""
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute(SET_UP)
    try:
        yield admin
    finally:
        await admin.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        await admin.close()


async def findings(dsn: str) -> list[Finding]:
    connection = await asyncpg.connect(dsn)
    try:
        facts = await read_facts(connection, SCHEMA)
    finally:
        await connection.close()
    role = wanted(Policies.load(POLICIES_FOLDER), "database", {}, SCHEMA)
    return [found for found in examine(facts, role) if found.subject == "overloads"]


async def snapshot(dsn: str) -> SchemaSnapshot:
    executor = SqlExecutor(dsn, ExecutorConfig(introspection=IntrospectionConfig(schema_name=SCHEMA)))
    try:
        return await executor.schema()
    finally:
        await executor.close()


@pytest.mark.postgres
async def test_what_a_statement_could_call_is_found_refused_and_taken_away(
    careless: asyncpg.Connection, sample_database: EmbeddedDatabase
) -> None:
    dsn = sample_database.dsn
    reader = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    try:
        assert [await reader.fetchval(sql) for sql in REACHING] == ["reached", "reached"]
        # The same arguments as PostgreSQL's own: never reached.
        assert await reader.fetchval("SELECT abs(2.0)") == 2

        before = await snapshot(dsn)
        assert before.overloaded == ("+", "round")
        for sql in REACHING:
            verdict = validator().validate(sql, "database", before)
            assert isinstance(verdict, RejectedSql)
            assert "a function or operator of its own under that name" in verdict.first.reason
        assert validator().validate("SELECT abs(2.0), EXTRACT(year FROM now())", "database", before).accepted

        told = await findings(dsn)
        assert [f.severity for f in told] == ["error"] * 3
        assert [f.message.split(" would be")[0] for f in told] == [
            f"the cast {SCHEMA}.mood AS integer",
            f"the function {SCHEMA}.round(text)",
            f"the operator {SCHEMA}.+(text,text)",
        ]
        for finding in told:
            await careless.execute(finding.advice)
        assert await findings(dsn) == []

        after = await snapshot(dsn)
        assert after.overloaded == ()
        assert after.fingerprint != before.fingerprint
        for sql in REACHING:
            assert validator().validate(sql, "database", after).accepted
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.fetchval(sql)
    finally:
        await reader.close()


COLUMNS = tuple(Column(name=name, type="text", nullable=True) for name in ("id", "name"))


@pytest.mark.parametrize(
    ("overloaded", "sql"),
    [
        ("=", "SELECT id FROM t WHERE name = 'x'"),
        ("=", "SELECT id FROM t WHERE name IN ('x', 'y')"),
        ("=", "SELECT id FROM t WHERE name IN (SELECT name FROM t)"),
        ("=", "SELECT id FROM t WHERE name = ANY (SELECT name FROM t)"),
        ("=", "SELECT CASE name WHEN 'x' THEN 1 END FROM t"),
        ("=", "SELECT a.id FROM t a JOIN t b USING (name)"),
        ("=", "SELECT nullif(name, '') FROM t"),
        ("=", "SELECT id FROM t WHERE name IS DISTINCT FROM 'x'"),
        ("<>", "SELECT id FROM t WHERE name NOT IN ('x', 'y')"),
        ("<=", "SELECT id FROM t WHERE name BETWEEN 'x' AND 'y'"),
        (">", "SELECT id FROM t WHERE name NOT BETWEEN SYMMETRIC 'x' AND 'y'"),
        ("~~*", "SELECT id FROM t WHERE name ILIKE 'x%'"),
        ("-", "SELECT - id FROM t"),
        ("lower", "SELECT lower(name) FROM t"),
        ("unnest", "SELECT u FROM unnest(ARRAY[1]) AS u"),
        ("count", "SELECT count(*) FROM t"),
    ],
)
def test_each_way_to_call_a_name_counts(overloaded: str, sql: str) -> None:
    def with_names(*names: str) -> SchemaSnapshot:
        return SchemaSnapshot(
            tables=(Table(name="t", columns=COLUMNS),),
            overloaded=names,
            fingerprint=f"overloaded {names}",
            taken_at="2026-01-01T00:00:00Z",
        )

    assert validator().validate(sql, "database", with_names("||")).accepted
    verdict = validator().validate(sql, "database", with_names(overloaded))
    assert isinstance(verdict, RejectedSql)
    assert verdict.first.reason.startswith(f"{overloaded} is not allowed here")
