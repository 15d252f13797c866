"""One embedded PostgreSQL with the sample data for the whole test session, started on first use."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

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
