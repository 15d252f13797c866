"""One embedded PostgreSQL with the sample data for the whole test session, started on first use."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres


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
