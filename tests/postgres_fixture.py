"""Embedded PostgreSQL servers for the whole test session, each started on first use."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
import pytest

from deployments.executor.embedded import READER_ROLE, EmbeddedDatabase, EmbeddedPostgres
from deployments.executor.sample_database import SampleFiles, load_sample_database

CLINIC = Path(__file__).parent / "data" / "clinic"


def make_state_folder() -> Path:
    """A folder that the server's unprivileged user can enter, unlike pytest's own temporary folders."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-test-"))
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def sample_database() -> Iterator[EmbeddedDatabase]:
    """``dsn`` logs in as the SELECT-only role, ``admin_dsn`` as superuser. Tests leave the rows alone."""
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def clinic_database(sample_database: EmbeddedDatabase) -> str:
    """A second database on the same server, of another trade; the DSN of the SELECT-only role."""
    reader = urlsplit(sample_database.dsn)
    load_sample_database(
        urlunsplit(urlsplit(sample_database.admin_dsn)._replace(path="/postgres")),
        database_name="clinic",
        files=SampleFiles(CLINIC),
        reader_role=READER_ROLE,
        reader_password=unquote(reader.password or ""),
    )
    return urlunsplit(reader._replace(path="/clinic"))


EVERY_ROW = Path(__file__).parent / "data" / "sql_safety" / "every_row.sql"
TESTBED = Path(__file__).parent / "data" / "sql_safety" / "testbed.sql"
# What a database of one's own gives to everyone unless somebody took it away, as the sample database does.
ORDINARY_DEFAULTS = """
    ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO PUBLIC;
    GRANT CONNECT, TEMPORARY ON DATABASE plumbline TO PUBLIC;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


@pytest.fixture(scope="session")
def testbed() -> Iterator[EmbeddedDatabase]:
    """A server of its own with forbidden tables, careless functions and roles beside the sample data.

    Tests may make roles and schemas there. Passwords of its roles are ``ro``.
    """
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        database = server.start()
        asyncio.run(
            _execute(
                database.admin_dsn,
                ORDINARY_DEFAULTS
                + TESTBED.read_text(encoding="utf-8")
                + EVERY_ROW.read_text(encoding="utf-8"),
            )
        )
        yield database
    finally:
        server.stop()
        shutil.rmtree(folder)


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
