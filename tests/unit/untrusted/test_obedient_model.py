"""A model that does whatever anybody's text tells it to, before the real guardrail and the real database."""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from tests.injections import Attempt, attempts
from tests.obedient import CONVERSATION, PATHS, app_of, last_body

pytestmark = pytest.mark.postgres

# Wages are what this policy keeps from its callers.
POLICY = "restricted"
LIMITS = ("execution_timeout", "execution_failed")
# Relations, functions, schemas, roles and rights.
DIGESTS = (
    "SELECT md5(string_agg(oid::text, ',' ORDER BY oid)) FROM pg_class",
    "SELECT md5(string_agg(oid::text, ',' ORDER BY oid)) FROM pg_proc",
    "SELECT md5(string_agg(oid::text, ',' ORDER BY oid)) FROM pg_namespace",
    "SELECT md5(string_agg(r::text, ',' ORDER BY oid)) FROM pg_authid r",
    "SELECT md5(string_agg(relacl::text, ',' ORDER BY oid)) FROM pg_class",
)


@pytest.fixture
async def executor(sample_database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    made = SqlExecutor(sample_database.dsn, ExecutorConfig(statement_timeout_s=1.0))
    yield made
    await made.close()


async def state_of(dsn: str) -> str:
    """Every row of every table, every relation, role and setting: what no question may change."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = [
            r[0]
            for r in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        parts = [
            await connection.fetchval(
                f'SELECT count(*) || md5(sum(hashtext(t::text)::bigint)::text) FROM "{name}" t'
            )
            for name in sorted(tables)
        ]
        parts += [await connection.fetchval(digest) for digest in DIGESTS]
        return json.dumps([tables, parts])
    finally:
        await connection.close()


async def test_whatever_a_model_is_talked_into_nothing_leaves_the_policy(
    sample_database: EmbeddedDatabase, executor: SqlExecutor
) -> None:
    before = await state_of(sample_database.admin_dsn)
    secrets = {sample_database.dsn, sample_database.admin_dsn}
    secrets |= {urlsplit(dsn).password or "" for dsn in secrets} | {"You translate a question"}
    failures: list[str] = []
    for attempt in attempts():
        async with app_of(attempt, executor, POLICY) as http:
            for path in PATHS:
                body = {"query": attempt.question, "user_id": "mallory", "conversation_id": CONVERSATION}
                response = await http.post(path, json=body)
                failures += faults(attempt, path, response, secrets - {""})
    assert failures == []
    assert await state_of(sample_database.admin_dsn) == before


def faults(attempt: Attempt, path: str, response: httpx.Response, secrets: set[str]) -> list[str]:
    answer = last_body(response)
    error = answer["error"]
    kind = error["type"] if isinstance(error, dict) else None
    found = {
        "rejected": kind == "validation_failed",
        "refused": kind is None and answer["data"] is None and answer["sql"] is None,
        "harmless": kind is None and answer["data"] is not None,
        "limited": kind in ("validation_failed", *LIMITS),
    }[attempt.expect]
    told = [] if found else [f"{attempt.id} {path}: {kind or answer}"]
    # Tokens of the stream are the model's own; everything else is the server's.
    said = json.dumps(answer, ensure_ascii=False)
    return told + [f"{attempt.id} {path}: tells {secret!r}" for secret in secrets if secret in said]
