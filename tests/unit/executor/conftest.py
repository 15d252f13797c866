"""Helpers for tests against the real embedded server."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor


@pytest.fixture
async def executor(sample_database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    executor = SqlExecutor(sample_database.dsn)
    yield executor
    await executor.close()


@pytest.fixture
async def admin(sample_database: EmbeddedDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(sample_database.admin_dsn)
    yield connection
    await connection.close()
