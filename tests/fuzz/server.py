"""The database of a fuzzing run: the sample, objects that must stay unreachable, and a role a policy.

Each role holds exactly the grants of its policy, so that a privilege that the server misses is one that the
validator should not have let through.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from deployments.executor.embedded import EmbeddedDatabase
from deployments.sql_validator.policy import Rights
from tests.sql_cases import ATTACKS

_TESTBED = ATTACKS.parent / "testbed.sql"
_EVERY_ROW = ATTACKS.parent / "every_row.sql"
_PASSWORD = "fuzz"
# The tree of each statement goes to the client, and not to the log of the server as well.
_SETTINGS = {
    "debug_print_parse": "on",
    "debug_pretty_print": "off",
    "client_min_messages": "log",
    "log_min_messages": "panic",
    "default_transaction_read_only": "on",
    "statement_timeout": "5s",
    "jit": "off",
    "search_path": "public",
}


def role_of(policy: str) -> str:
    return f"fuzz_{policy}"


async def prepare(database: EmbeddedDatabase, rights: Mapping[str, Rights]) -> dict[str, str]:
    """Create what is forbidden and the roles; gives a DSN for each policy."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        if not await connection.fetchval("SELECT to_regclass('app_users') IS NOT NULL"):
            await connection.execute(_TESTBED.read_text(encoding="utf-8"))
        await connection.execute(_EVERY_ROW.read_text(encoding="utf-8"))
        for policy, allowed in rights.items():
            await _make_role(connection, role_of(policy), allowed)
    finally:
        await connection.close()
    address = urlsplit(database.admin_dsn)
    return {
        policy: f"postgresql://{role_of(policy)}:{_PASSWORD}@{address.hostname}:{address.port}{address.path}"
        for policy in rights
    }


async def _make_role(connection: "asyncpg.Connection[Any]", role: str, rights: Rights) -> None:
    if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        return
    await connection.execute(f"CREATE ROLE {role} LOGIN NOINHERIT PASSWORD '{_PASSWORD}'")
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
    await connection.execute(f"GRANT USAGE ON SCHEMA {rights.schema_name} TO {role}")
    for table in rights.tables.values():
        columns = ", ".join(table.allowed)
        await connection.execute(f"GRANT SELECT ({columns}) ON {rights.schema_name}.{table.name} TO {role}")
    for name, value in _SETTINGS.items():
        await connection.execute(f"ALTER ROLE {role} SET {name} = '{value}'")


async def fingerprint(dsn: str) -> str:
    """A digest of all rows of all tables, of sequences, large objects and the catalogs' own counts."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT c.oid::regclass::text, c.relkind = 'S' "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'S', 'm') AND n.nspname NOT LIKE 'pg\\_%' "
            "AND n.nspname <> 'information_schema' ORDER BY 1"
        )
        digest = hashlib.sha256()
        for table, is_sequence in tables:
            content = (
                "last_value, is_called"
                if is_sequence
                else "count(*), sum(hashtextextended(t::text, 0)::numeric)"
            )
            (rows,) = await connection.fetch(f"SELECT {content} FROM {table} t")
            digest.update(f"{table} {rows[0]} {rows[1]}\n".encode())
        for catalog in (
            "pg_class",
            "pg_proc",
            "pg_type",
            "pg_roles",
            "pg_largeobject_metadata",
            "pg_settings",
        ):
            count = await connection.fetchval(f"SELECT count(*) FROM {catalog}")
            digest.update(f"{catalog} {count}\n".encode())
        return digest.hexdigest()
    finally:
        await connection.close()
