"""A database that changes, or is not there yet, under the stages that keep its schema."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from fakes import FakeConversations, make_generation, make_prompt

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import READER_ROLE, EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from deployments.prompt_builder.builder import PromptBuilderCore
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.auth.identity import Access
from serve_app.contracts import (
    BuiltPrompt,
    ConversationContext,
    Generation,
    GenerationRequest,
    Interpretation,
    Prompt,
    Question,
    SchemaSnapshot,
    SqlCandidate,
    StageHealth,
)
from serve_app.http_app import make_app
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import Stages
from serve_app.service import ChatService, ServiceConfig
from tests.relay import Relay, relay_to

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

ASK = {"query": "What is there?", "user_id": "ann"}
HANG_S = 60.0
TABLES = """
CREATE TABLE things (id integer, label text);
INSERT INTO things VALUES (1, 'one');
CREATE TABLE others (id integer);
GRANT SELECT ON things, others TO plumbline_reader;
"""


class EveryColumn:
    """A prompt that shows the columns of ``things``, and a model that asks for the second of them."""

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        schema: SchemaSnapshot,
        repair: tuple[str, str] | None,
    ) -> BuiltPrompt:
        return make_prompt(" ".join(shown(schema)), schema_fingerprint=schema.fingerprint)

    async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> Interpretation:
        return SqlCandidate(sql=output)


def shown(schema: SchemaSnapshot) -> list[str]:
    return [column.name for table in schema.tables if table.name == "things" for column in table.columns]


class AsksForTheSecond:
    """The generator, which knows what stands in the prompt."""

    async def generate(self, request: GenerationRequest) -> Generation:
        assert request.turns
        columns = request.turns[0].content.split()
        return make_generation(f"SELECT {columns[1] if len(columns) > 1 else 'id'} AS found FROM things")

    async def health(self) -> StageHealth:
        return StageHealth(stage="generator", ok=True, detail="Ready.")


@dataclass
class Served:
    """A service over the real stages that know the schema."""

    http: httpx.AsyncClient
    executor: SqlExecutor
    admin: "asyncpg.Connection[asyncpg.Record]"
    relay: Relay

    async def ask(self) -> dict[str, Any]:
        reply = await self.http.post("/api/chat", json=ASK)
        body: dict[str, Any] = reply.json()
        return {**body, "status": reply.status_code, "retry_after": reply.headers.get("retry-after")}


@pytest.fixture
async def served(sample_database: EmbeddedDatabase) -> AsyncIterator[Served]:
    """Everything is kept for an hour, so that whatever is seen earlier was told."""
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute("CREATE DATABASE changing")
    changing = await asyncpg.connect(sample_database.admin_dsn.replace("/plumbline", "/changing"))
    await changing.execute(TABLES)
    async with relay_to(sample_database.port) as relay:
        reader = relay.dsn(urlunsplit(urlsplit(sample_database.dsn)._replace(path="/changing")))
        config = ExecutorConfig.model_validate(
            {"connect_timeout_s": 1.0, "introspection": {"schema_cache_ttl_s": 3600}}
        )
        executor = SqlExecutor(reader, config)
        stages = Stages(
            FakeConversations(),
            PromptBuilderCore(lambda caller: executor.schema(caller=caller), EveryColumn(), 3600.0),
            AsksForTheSecond(),
            SqlValidatorCore(executor.schema),
            executor,
        )
        service = ChatService(
            stages, ServiceConfig(access=Access(policy="database")), Figures(NullRecorder())
        )
        transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
        async with (
            asyncio.timeout(HANG_S),
            httpx.AsyncClient(transport=transport, base_url="http://plumbline") as http,
        ):
            yield Served(http, executor, changing, relay)
        await executor.close()
    await changing.close()
    await admin.execute("DROP DATABASE changing WITH (FORCE)")
    await admin.close()


def rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    assert body["success"], body
    found: list[dict[str, Any]] = body["data"]["rows"]
    return found


async def test_a_renamed_column_costs_one_more_attempt(served: Served) -> None:
    assert rows(await served.ask()) == [{"found": "one"}]
    await served.admin.execute("ALTER TABLE things RENAME label TO title")
    body = await served.ask()
    assert rows(body) == [{"found": "one"}]
    assert "title" in body["sql"]
    assert body["metadata"]["attempts"] == 2
    # From then on it is known.
    assert (await served.ask())["metadata"]["attempts"] == 1


async def test_a_dropped_table_is_refused_once_by_the_database_and_then_by_the_checks(served: Served) -> None:
    assert rows(await served.ask())
    await served.admin.execute("DROP TABLE things")
    body = await served.ask()
    assert not body["success"]
    assert (body["status"], body["error"]["type"]) in ((422, "execution_failed"), (422, "validation_failed"))
    assert (await served.ask())["error"]["rule"] is not None
    assert [table.name for table in (await served.executor.schema()).tables] == ["others"]


async def test_a_statement_of_a_person_that_met_another_schema_has_it_read_again(served: Served) -> None:
    run = {"sql": "SELECT label FROM things", "user_id": "ann"}
    assert (await served.http.post("/api/sql/run", json=run)).status_code == 200
    await served.admin.execute("ALTER TABLE things RENAME label TO title")
    assert (await served.http.post("/api/sql/run", json=run)).json()["error"]["type"] == "execution_failed"
    assert (await served.http.post("/api/sql/run", json=run)).json()["error"]["type"] == "validation_failed"
    renamed = {**run, "sql": "SELECT title FROM things"}
    assert (await served.http.post("/api/sql/run", json=renamed)).status_code == 200


async def test_a_right_that_was_taken_away_is_denied_and_the_column_is_shown_no_more(served: Served) -> None:
    assert rows(await served.ask())
    await served.admin.execute(
        f"REVOKE SELECT ON things FROM {READER_ROLE}; GRANT SELECT (id) ON things TO {READER_ROLE}"
    )
    denied = await served.ask()
    assert (denied["status"], denied["error"]["type"]) == (403, "permission_denied")
    assert shown(await served.executor.schema()) == ["id"]
    assert rows(await served.ask()) == [{"found": 1}]


async def test_a_new_column_is_seen_by_whoever_asks_for_it(served: Served) -> None:
    assert rows(await served.ask())
    await served.admin.execute("ALTER TABLE things ADD colour text")
    assert shown(await served.executor.schema()) == ["id", "label"]
    assert shown(await served.executor.schema(refresh=True)) == ["id", "label", "colour"]


@pytest.mark.parametrize("fault", ["refusing", "silent"])
async def test_a_database_that_comes_later_makes_everything_ready_without_hands(
    served: Served, fault: str
) -> None:
    setattr(served.relay, fault, True)
    ready = await served.http.get("/ready")
    assert ready.status_code == 503
    late = {stage["stage"]: stage["detail"] for stage in ready.json()["stages"] if not stage["ok"]}
    assert {"executor", "prompt_builder"} <= set(late)
    for told in await asyncio.gather(*(served.ask() for _ in range(6))):
        assert (told["status"], told["error"]["type"]) == (503, "execution_failed")
    run = await served.http.post("/api/sql/run", json={"sql": "SELECT id FROM things", "user_id": "ann"})
    assert (run.status_code, run.json()["error"]["type"]) == (503, "execution_failed")
    assert (await served.http.get("/api/schema")).status_code == 503
    setattr(served.relay, fault, False)
    assert rows(await served.ask()) == [{"found": "one"}]
    assert (await served.http.get("/ready")).status_code == 200
    assert (await served.http.get("/api/schema")).status_code == 200
