"""Loading the sample database and creating its SELECT-only login role, idempotently and in one transaction.

The sample's dates are relative to the day of loading, so an older load is replaced: rows are deleted and
inserted again in one transaction, and sessions that read meanwhile keep seeing the old rows.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deployments.executor.introspection import quote_identifier
from deployments.executor.role.grants import RoleGrant, apply_grant, scram_verifier
from deployments.executor.sample_organizations import ensure_organizations
from serve_app.errors import DatabaseUnavailable

# Any constant will do, as long as every loader takes the same lock.
LOADER_LOCK_KEY = 5_270_001
READABLE_COLUMNS = """
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
GROUP BY c.relname
"""

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class SampleFiles:
    """A folder with ``schema.sql`` and ``seed.sql``, and ``security.sql`` where there are organizations."""

    folder: Path

    @property
    def schema(self) -> str:
        return (self.folder / "schema.sql").read_text(encoding="utf-8")

    @property
    def seed(self) -> str:
        return (self.folder / "seed.sql").read_text(encoding="utf-8")

    @property
    def security(self) -> str | None:
        """The policies by organization; None where the data belongs to nobody in particular."""
        path = self.folder / "security.sql"
        return path.read_text(encoding="utf-8") if path.is_file() else None


def load_sample_database(
    admin_dsn: str,
    database_name: str,
    files: SampleFiles,
    reader_role: str,
    reader_password: str,
    organization_password: Callable[[str], str] | None = None,
) -> tuple[str, ...]:
    """Create database, rows and login roles where they are missing or of another day or content.

    Args:
        admin_dsn: superuser login on the server's ``postgres`` database.
        organization_password: the password of an organization's login role, by the role's name; None: the
            database has no organizations, and no row-level security.

    Returns:
        The ids of the organizations, each of which has a login role of its own.

    Raises:
        DatabaseUnavailable: the server cannot be reached or refuses the files.
    """
    try:
        return _run_apart(
            _load(admin_dsn, database_name, files, (reader_role, reader_password), organization_password)
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise DatabaseUnavailable(
            "The sample data could not be loaded. Start again, and if that fails remove the state folder.",
            detail=f"{type(error).__name__}: {error}",
        ) from error


def _run_apart(work: Coroutine[Any, Any, Loaded]) -> Loaded:
    """Run to the end on a loop of its own, so that callers with a running loop can load too."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _load(
    admin_dsn: str,
    database_name: str,
    files: SampleFiles,
    reader: tuple[str, str],
    organization_password: Callable[[str], str] | None,
) -> tuple[str, ...]:
    server = await asyncpg.connect(admin_dsn, timeout=10)
    try:
        await server.fetchval("SELECT pg_advisory_lock($1)", LOADER_LOCK_KEY)
        if not await server.fetchval("SELECT true FROM pg_database WHERE datname = $1", database_name):
            await server.execute(f'CREATE DATABASE "{database_name}"')
        await server.execute("REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC")
        database = await asyncpg.connect(_with_database(admin_dsn, database_name), timeout=10)

        try:
            async with database.transaction():
                await _ensure_rows(database, files)
                await _ensure_reader(database, database_name, *reader)
                security = files.security
                if organization_password is None or security is None:
                    return ()
                password_of = organization_password
                return await ensure_organizations(
                    database,
                    security,
                    lambda role: _ensure_reader(database, database_name, role, password_of(role)),
                )
        finally:
            await database.close()
    finally:
        await server.close()


def _with_database(dsn: str, database_name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database_name}"))


async def _ensure_rows(connection: asyncpg.Connection, files: SampleFiles) -> None:
    await connection.execute(
        "CREATE SCHEMA IF NOT EXISTS plumbline_sample;"
        "CREATE TABLE IF NOT EXISTS plumbline_sample.loaded (schema_hash text, seed_hash text, seed_day date)"
    )
    schema, seed = files.schema, files.seed
    wanted = (_hash(schema), _hash(seed), await connection.fetchval("SELECT CURRENT_DATE"))
    row = await connection.fetchrow("SELECT schema_hash, seed_hash, seed_day FROM plumbline_sample.loaded")
    if row is not None and tuple(row) == wanted:
        return
    if row is not None and row["schema_hash"] == wanted[0]:
        await _delete_rows(connection)
    else:
        await connection.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        await connection.execute(schema)
    await connection.execute(seed)
    await connection.execute("DELETE FROM plumbline_sample.loaded")
    await connection.execute("INSERT INTO plumbline_sample.loaded VALUES ($1, $2, $3)", *wanted)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _delete_rows(connection: asyncpg.Connection) -> None:
    """Empty every table, referencing ones first. Unlike TRUNCATE, DELETE lets readers go on with old rows."""
    rows = await connection.fetch(
        "SELECT c.relname AS name, array_remove(array_agg(DISTINCT r.relname), NULL) AS parents "
        "FROM pg_class c LEFT JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' "
        "LEFT JOIN pg_class r ON r.oid = f.confrelid AND r.oid <> c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY c.relname"
    )
    parents: dict[str, set[str]] = {row["name"]: set(row["parents"]) for row in rows}
    while parents:
        referenced = set().union(*parents.values())
        leaves = [name for name in parents if name not in referenced]
        for name in leaves or list(parents):
            await connection.execute(f'DELETE FROM public."{name}"')
            del parents[name]


async def _ensure_reader(
    connection: asyncpg.Connection, database_name: str, role: str, password: str
) -> None:
    """SELECT on every column of ``public``, and nothing else: PUBLIC's default rights go as well."""
    await connection.execute(
        f"REVOKE ALL ON DATABASE {quote_identifier(database_name)} FROM PUBLIC;"
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC"
    )
    columns = {row["name"]: tuple(row["columns"]) for row in await connection.fetch(READABLE_COLUMNS)}
    verifier = scram_verifier(password)
    await apply_grant(connection, RoleGrant(role, columns, password_verifier=verifier, revoke_public=True))
