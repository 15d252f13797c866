"""Every example pair runs on the real sample database."""

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.prompt_builder.retrieval import Example
from deployments.sql_validator.extraction import extract_sql
from tests.prompt_cases import EXAMPLES

pytestmark = pytest.mark.postgres


async def test_every_example_runs(sample_database: EmbeddedDatabase) -> None:
    connection = await asyncpg.connect(sample_database.dsn)
    try:
        for example in EXAMPLES:
            await connection.fetch(example.sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.question[:30])
def test_every_example_is_one_select(example: Example) -> None:
    assert extract_sql(example.sql) == example.sql
