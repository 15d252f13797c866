"""The restricted role as `plumbline grant` makes it, judged by the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.introspection import quote_identifier
from deployments.executor.role.grants import RoleGrant, apply_grant, grant_script, scram_verifier
from serve_app.errors import InvalidRequest

pytestmark = pytest.mark.postgres

PASSWORD = "only for tests"
LABOR = {"labor": ("id", "project_id", "trade", "work_date", "hours"), "projects": ("id", "name")}
ACL = """
SELECT array_agg(row ORDER BY row) FROM (
    SELECT c.oid::regclass || ' ' || a.privilege_type AS row FROM pg_class c, aclexplode(c.relacl) a
    WHERE a.grantee = $1::regrole
    UNION ALL
    SELECT t.attrelid::regclass || '.' || t.attname || ' ' || a.privilege_type
    FROM pg_attribute t, aclexplode(t.attacl) a WHERE a.grantee = $1::regrole
    UNION ALL
    SELECT n.nspname || ' ' || a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE a.grantee = $1::regrole
) AS granted
"""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def admin(testbed: EmbeddedDatabase) -> AsyncIterator[asyncpg.Connection]:
    async with connected(testbed.admin_dsn) as connection:
        yield connection


@asynccontextmanager
async def logged_in(
    database: EmbeddedDatabase, role: str, password: str = PASSWORD
) -> AsyncIterator[asyncpg.Connection]:
    user, secret = quote(role, safe=""), quote(password, safe="")
    async with connected(f"postgresql://{user}:{secret}@127.0.0.1:{database.port}/plumbline") as connection:
        yield connection


def reader(role: str, columns: dict[str, tuple[str, ...]] | None = None, **more: object) -> RoleGrant:
    given = {"password_verifier": scram_verifier(PASSWORD), **more}
    return RoleGrant(role, LABOR if columns is None else columns, **given)  # type: ignore[arg-type]


READABLE = ["SELECT id, trade, hours FROM labor LIMIT 1", "SELECT count(*) FROM projects"]
REFUSED = [
    "SELECT hourly_rate FROM labor",
    "SELECT l FROM labor l",
    "SELECT ctid FROM labor",
    "SELECT budget FROM projects",
    "SELECT * FROM expenses",
    "SELECT password_hash FROM app_users",
    "SELECT * FROM v_user_emails",
    "SELECT * FROM hr.salaries",
    "SELECT secret_lookup(1)",
    "SELECT 1 OPERATOR(public.#+#) 2",
    "SELECT nextval('invoice_seq')",
    "CREATE TABLE stolen (id int)",
    "CREATE TEMP TABLE stolen (id int)",
    "INSERT INTO labor (id) VALUES (1)",
    "SET ROLE nlq_rw",
]


async def test_the_role_reads_the_columns_and_nothing_else(
    testbed: EmbeddedDatabase, admin: asyncpg.Connection
) -> None:
    await apply_grant(admin, reader("reader_exact", revoke_public=True))
    try:
        async with logged_in(testbed, "reader_exact") as connection:
            for sql in READABLE:
                assert await connection.fetch(sql)
            # Without the read-only default, so that rights alone are judged.
            await connection.execute("SET default_transaction_read_only = off")
            for sql in REFUSED:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(sql)
    finally:
        # The other tests of the session expect the testbed as it was.
        await admin.execute(
            "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO PUBLIC;"
            "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO PUBLIC;"
            "GRANT TEMPORARY ON DATABASE plumbline TO PUBLIC"
        )


async def test_what_everyone_may_call_stays_unless_it_is_taken(
    testbed: EmbeddedDatabase, admin: asyncpg.Connection
) -> None:
    await apply_grant(admin, reader("reader_careless"))
    async with logged_in(testbed, "reader_careless") as connection:
        assert await connection.fetchval("SELECT secret_lookup(1)")


LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "30s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "transaction_timeout": "1min",
    "temp_file_limit": "64MB",
    "work_mem": "16MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "search_path": "public",
}


async def test_limits_hold_from_the_login_on(testbed: EmbeddedDatabase, admin: asyncpg.Connection) -> None:
    assert await apply_grant(admin, reader("reader_limits")) == ()
    async with logged_in(testbed, "reader_limits") as connection:
        assert {name: await connection.fetchval(f"SHOW {name}") for name in LIMITS} == LIMITS
    row = await admin.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'reader_limits'")
    assert row is not None
    assert (row["rolconnlimit"], row["rolinherit"], row["rolsuper"]) == (40, False, False)


async def test_again_changes_nothing_and_a_smaller_grant_takes_back(admin: asyncpg.Connection) -> None:
    await apply_grant(admin, reader("reader_again"))
    first = await admin.fetchval(ACL, "reader_again")
    assert "labor.trade SELECT" in first
    await admin.execute("GRANT SELECT, INSERT ON hr.salaries, app_users TO reader_again")
    await admin.execute("GRANT USAGE ON SCHEMA hr TO reader_again; GRANT ALL ON invoice_seq TO reader_again")
    await apply_grant(admin, reader("reader_again"))
    assert await admin.fetchval(ACL, "reader_again") == first
    await apply_grant(admin, reader("reader_again", {"projects": ("name",)}))
    assert await admin.fetchval(ACL, "reader_again") == ["projects.name SELECT", "public USAGE"]


async def test_the_printed_script_does_the_same(admin: asyncpg.Connection) -> None:
    await apply_grant(admin, reader("reader_applied"))
    await admin.execute(grant_script(reader("reader_printed")))
    assert await admin.fetchval(ACL, "reader_printed") == await admin.fetchval(ACL, "reader_applied")


async def test_only_the_password_logs_in(testbed: EmbeddedDatabase, admin: asyncpg.Connection) -> None:
    await apply_grant(admin, reader("reader_password"))
    async with logged_in(testbed, "reader_password") as connection:
        assert await connection.fetchval("SELECT 1") == 1
    for wrong in ("", "only for test", scram_verifier(PASSWORD)):
        with pytest.raises(asyncpg.InvalidPasswordError):
            async with logged_in(testbed, "reader_password", wrong):
                pass
    await apply_grant(admin, reader("reader_password", password_verifier=None))
    async with logged_in(testbed, "reader_password") as connection:
        assert await connection.fetchval("SELECT 1") == 1


HOSTILE = ['quo"te', "apos'trophe", "$plumbline$; DROP ROLE nlq_ro; $plumbline$", "per%cent {brace}", "büro"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_name_is_only_a_name(
    testbed: EmbeddedDatabase, admin: asyncpg.Connection, name: str
) -> None:
    schema = quote_identifier(f"s {name}")
    await admin.execute(f"CREATE SCHEMA {schema}")
    await admin.execute(
        f"CREATE TABLE {schema}.{quote_identifier(name)} ({quote_identifier(name)} int, other int)"
    )
    await apply_grant(admin, reader(name, {name: (name,)}, schema_name=f"s {name}", revoke_public=True))
    try:
        async with logged_in(testbed, name) as connection:
            assert (
                await connection.fetch(f"SELECT {quote_identifier(name)} FROM {quote_identifier(name)}") == []
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT other FROM {quote_identifier(name)}")
        assert await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = 'nlq_ro'")
    finally:
        await admin.execute(f"DROP SCHEMA {schema} CASCADE")
        await admin.execute(
            "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO PUBLIC;"
            "GRANT TEMPORARY ON DATABASE plumbline TO PUBLIC"
        )


NOT_READERS = {
    "postgres": "logged in with",
    "nlq_broad": "member of other roles",
    "reader_owner": "owns objects",
    "reader_maker": "rights of an administrator",
}


@pytest.mark.parametrize(("role", "reason"), NOT_READERS.items())
async def test_a_role_that_is_more_than_a_reader_is_left_alone(
    admin: asyncpg.Connection, role: str, reason: str
) -> None:
    async with admin.transaction():
        await admin.execute("CREATE ROLE reader_owner; CREATE ROLE reader_maker CREATEDB")
        await admin.execute("CREATE SCHEMA owned AUTHORIZATION reader_owner")
        with pytest.raises(asyncpg.RaiseError, match=reason):
            await apply_grant(admin, reader(role))
        await admin.execute("DROP SCHEMA owned; DROP ROLE reader_owner, reader_maker")


async def test_an_owner_who_is_no_superuser_is_told_which_limit_is_missing(
    testbed: EmbeddedDatabase, admin: asyncpg.Connection
) -> None:
    await admin.execute(
        f"CREATE ROLE shop_owner LOGIN CREATEROLE PASSWORD '{PASSWORD}';"
        "CREATE SCHEMA shop AUTHORIZATION shop_owner"
    )
    async with logged_in(testbed, "shop_owner") as owner:
        await owner.execute("CREATE TABLE shop.orders (id int, total numeric)")
        warnings = await apply_grant(owner, reader("shop_reader", {"orders": ("id",)}, schema_name="shop"))
    assert [w for w in warnings if "temp_file_limit" in w]
    async with logged_in(testbed, "shop_reader") as connection:
        assert await connection.fetch("SELECT id FROM orders") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT total FROM orders")


@pytest.mark.parametrize("name", ["", "x" * 64, "a\x00b"])
def test_names_that_postgresql_would_change(name: str) -> None:
    with pytest.raises(InvalidRequest):
        RoleGrant(name, LABOR)


@pytest.mark.parametrize("password", ["", "pässword", "tab\tbed"])
def test_passwords_that_programs_disagree_about(password: str) -> None:
    with pytest.raises(InvalidRequest):
        scram_verifier(password)


def test_the_password_is_in_no_representation() -> None:
    grant = reader("r")
    assert grant.password_verifier
    assert grant.password_verifier not in repr(grant)
    assert PASSWORD not in grant_script(grant)
