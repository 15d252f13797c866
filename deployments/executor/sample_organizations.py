"""Row-level security of the sample database: its policies, and a login role for each of its organizations."""

import hashlib
from collections.abc import Awaitable, Callable

import asyncpg

ORGANIZATION_ROLE = "plumbline_org_{organization}"

# Creates a login role with the reader's limits and grants, by its name.
RoleMaker = Callable[[str], Awaitable[None]]


def role_of(organization_id: str) -> str:
    return ORGANIZATION_ROLE.format(organization=organization_id)


async def ensure_organizations(
    connection: "asyncpg.Connection[asyncpg.Record]", security_sql: str, make_role: RoleMaker
) -> tuple[str, ...]:
    """Make the roles and the policies; the organizations' ids, as text.

    Roles of organizations that are gone may not log in any more.
    """
    rows = await connection.fetch("SELECT id::text AS id FROM public.organizations ORDER BY organizations.id")
    organizations = tuple(row["id"] for row in rows)
    for organization in organizations:
        await make_role(role_of(organization))
    await _lock_out_others(connection, {role_of(organization) for organization in organizations})
    await _ensure_policies(connection, security_sql)
    return organizations


async def _lock_out_others(connection: "asyncpg.Connection[asyncpg.Record]", known: set[str]) -> None:
    rows = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname ~ '^plumbline_org_[0-9]+$'"
    )
    for row in rows:
        if row["rolname"] not in known:
            await connection.execute(f'ALTER ROLE "{row["rolname"]}" NOLOGIN')


async def _ensure_policies(connection: "asyncpg.Connection[asyncpg.Record]", security_sql: str) -> None:
    """Apply the file unless these tables carry it already: changing a policy waits for every reader."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS plumbline_sample.secured (security_hash text, table_oid oid)"
    )
    wanted = (
        hashlib.sha256(security_sql.encode()).hexdigest(),
        await connection.fetchval("SELECT 'public.organizations'::regclass::oid"),
    )
    row = await connection.fetchrow("SELECT security_hash, table_oid FROM plumbline_sample.secured")
    if row is not None and tuple(row) == wanted:
        return
    await connection.execute(security_sql)
    await connection.execute("DELETE FROM plumbline_sample.secured")
    await connection.execute("INSERT INTO plumbline_sample.secured VALUES ($1, $2)", *wanted)
