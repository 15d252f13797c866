"""Every example pair runs on the real sample database, and its specification says the same."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.verified.matcher import VerifiedMatcher
from deployments.sql_validator.extraction import extract_sql
from serve_app.contracts import SchemaSnapshot
from serve_app.evaluation.golds import GoldDatabase
from serve_app.evaluation.verified import verified_items
from tests.prompt_cases import EXAMPLES, PACK

pytestmark = pytest.mark.postgres

WITH_SPEC = [example for example in EXAMPLES if example.query_spec is not None]


@pytest.fixture
async def database(sample_database: EmbeddedDatabase) -> AsyncIterator[GoldDatabase]:
    async with GoldDatabase(sample_database.dsn) as gold:
        yield gold


@pytest.fixture(scope="module")
def matcher() -> VerifiedMatcher:
    text = Path("tests/data/linking/schema.json").read_text(encoding="utf-8")
    schema = SchemaSnapshot.model_validate_json(text)
    return VerifiedMatcher(EXAMPLES, Linker(schema, PACK), SpecContext(schema, PACK), date.today())


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


async def test_every_example_answers_its_own_question(
    database: GoldDatabase, matcher: VerifiedMatcher
) -> None:
    for example, item in zip(EXAMPLES, verified_items(EXAMPLES), strict=True):
        found = matcher.match(example.question, date.today())
        assert found is not None, example.question
        compared = await database.compare(found.candidate.sql, item.gold, ordered=False)
        assert compared.equal, f"{example.question}: {compared.detail}"


@pytest.mark.parametrize("example", WITH_SPEC, ids=lambda example: example.question[:30])
def test_a_specification_fits_its_question(example: Example, matcher: VerifiedMatcher) -> None:
    found = matcher.match(example.question, date.today())
    assert found is not None
    assert found.candidate.query_spec is not None, "the specification has no use for some link"
