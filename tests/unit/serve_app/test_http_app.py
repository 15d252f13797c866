"""The HTTP API over fakes: shapes, statuses, limits and streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes import (
    FakeConversations,
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    Gate,
    make_generation,
    make_result,
    make_stages,
    rejected,
)

from serve_app.contracts import Clarification, StageHealth
from serve_app.errors import ExecutionFailed, Overloaded, PlumblineError
from serve_app.http_app import make_app
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import PipelineLimits, Stages
from serve_app.service import ChatService, ServiceConfig
from serve_app.settings.tree import FeatureSettings, LimitSettings

ASK = {"query": "How many rows?", "user_id": "ann"}
SHAPE = set(
    "success data answer clarification error sql execution_time_ms conversation_id metadata".split()  # noqa: SIM905
)


def make_service(stages: Stages | None = None, **config: Any) -> ChatService:
    values = {"pipeline": PipelineLimits(retry_delay_s=0), **config}
    return ChatService(stages or make_stages(), ServiceConfig(**values), Figures(NullRecorder()))


def client_of(service: ChatService) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://plumbline")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_service()) as http:
        yield http


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of a response, whose whole shape must be the documented one."""
    body = response.json()
    assert set(body) == SHAPE
    assert body["success"] is False
    assert body["data"] is None
    assert body["metadata"]["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    error: dict[str, Any] = body["error"]
    assert error["message"]
    return error


async def test_an_answer_has_the_documented_shape() -> None:
    executor = FakeExecutor(
        lambda _: make_result([(1, "a"), (2, "b")], ("n", "n"), total_count=9, truncated=True)
    )
    async with client_of(make_service(make_stages(executor=executor))) as http:
        response = await http.post("/api/chat", json={**ASK, "organization_id": "acme"})
    body = response.json()
    assert response.status_code == 200
    assert set(body) == SHAPE
    assert body["success"] is True
    assert body["data"] == {
        "rows": [{"n": 1, "n_2": "a"}, {"n": 2, "n_2": "b"}],
        "row_count": 2,
        "columns": ["n", "n_2"],
        "total_count": 9,
        "truncated": True,
    }
    assert body["sql"] == "SELECT 1"
    assert body["conversation_id"] == "c1"
    assert body["execution_time_ms"] == 1.5
    metadata = body["metadata"]
    assert metadata["columns"][0] == {"name": "n", "database_type": "int4", "semantic_type": "number"}
    assert [column["name"] for column in metadata["columns"]] == body["data"]["columns"]
    assert {
        "timings_ms",
        "tokens",
        "attempts",
        "context_used",
        "context_length",
        "engine",
        "truncation",
    } <= set(metadata)
    assert metadata["timings_ms"]["total"] >= metadata["timings_ms"]["execute"]


async def test_a_clarification_is_a_success_with_a_question() -> None:
    asks = Clarification(question="Which one?", kind="entity", options=("a", "b"))
    async with client_of(
        make_service(make_stages(prompt_builder=FakePromptBuilder(lambda q, r: asks)))
    ) as http:
        body = (await http.post("/api/chat", json=ASK)).json()
    assert (body["success"], body["clarification"], body["data"], body["error"]) == (
        True,
        "Which one?",
        None,
        None,
    )
    assert body["metadata"]["clarification"]["options"] == ["a", "b"]
    assert body["metadata"]["outcome"] == "clarification"


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "query", "is required"),
        ({"query": "hi there"}, "user_id", "is required"),
        ({"query": "", "user_id": "a"}, "query", "must not be empty"),
        ({"query": " \n\t ", "user_id": "a"}, "query", "must not be empty"),
        ({"query": "\x00\x01", "user_id": "a"}, "query", "must not be empty"),
        ({"query": "\u200b\u202e", "user_id": "a"}, "query", "must not be empty"),
        ({"query": 7, "user_id": "a"}, "query", "must be text"),
        ({"query": ["x"], "user_id": "a"}, "query", "must be text"),
        ({"query": "hi", "user_id": None}, "user_id", "must be text"),
        ({"query": "hi", "user_id": "a", "conversationid": "c"}, "conversationid", "is not a known field"),
        ({"query": "hi", "user_id": "u" * 201}, "user_id", "must have at most 200 characters"),
        ({"query": "hi", "user_id": "a\nb"}, "user_id", "must not hold control characters"),
        ([1], "body", "must be a JSON object"),
    ],
)
async def test_wrong_fields_are_named(client: httpx.AsyncClient, body: Any, field: str, problem: str) -> None:
    response = await client.post("/api/chat", json=body)
    error = error_of(response)
    assert response.status_code == 400
    assert error["type"] == "invalid_request"
    assert error["fields"][field].startswith(problem)
    assert field in error["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"query": "\xe9", "user_id": "a"}',
        b'{"query": "\\ud800", "user_id": "a"}',
        b"null",
        b'"x"',
        b"[" * 30_000 + b"]" * 30_000,
        b'{"query": ' + b"1" * 30_000 + b"}",
    ],
)
async def test_unreadable_bodies(client: httpx.AsyncClient, content: bytes) -> None:
    response = await client.post("/api/chat", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert error_of(response)["type"] == "invalid_request"


async def test_many_faults_are_told_shortly(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/chat", json={**ASK, **{f"{n}" * 200: n for n in range(100)}})
    assert response.status_code == 400
    assert len(error_of(response)["fields"]) == 8
    assert len(response.content) < 3000


@pytest.mark.parametrize("path", ["/api/sql/run", "/api/sql/validate", "/api/chat/clear", "/api/chat"])
async def test_the_example_in_a_refusal_is_one_of_that_call(client: httpx.AsyncClient, path: str) -> None:
    message = error_of(await client.post(path, json={"nothing": 1}))["message"]
    example = json.loads(message[message.index("{") : message.rindex("}") + 1])
    assert (await client.post(path, json=example)).status_code != 400


async def test_a_long_question_and_a_large_body(client: httpx.AsyncClient) -> None:
    long = await client.post("/api/chat", json={**ASK, "query": "a" * 2001})
    assert long.status_code == 400
    assert "2,001" in error_of(long)["message"]
    large = await client.post("/api/chat", json={**ASK, "query": "a" * 100_000})
    assert large.status_code == 413
    assert "65,536" in error_of(large)["message"]


async def test_a_large_body_without_a_length_is_stopped_while_it_is_read(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    response = await client.post("/api/chat", content=pieces(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert error_of(response)["type"] == "invalid_request"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/health/", {}, 404),
        ("POST", "/api/chat/", {"content-type": "application/json"}, 404),
        ("GET", "/api/chat", {}, 405),
        ("DELETE", "/health", {}, 405),
        ("POST", "/api/chat", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/api/chat", {"content-type": "text/plain"}, 415),
        ("POST", "/api/chat", {}, 415),
    ],
)
async def test_other_refusals_have_the_shape(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    response = await client.request(
        method, path, content=b"x=1" if method == "POST" else b"", headers=headers
    )
    assert response.status_code == status
    assert error_of(response)["type"] == "invalid_request"
    if status == 405:
        assert response.headers["allow"]


@pytest.mark.parametrize("text", ["How many 🏗️ sites?", "¿Cuánto?", "工事 費用", "a\u2028b"])
async def test_any_unicode_is_a_question(client: httpx.AsyncClient, text: str) -> None:
    response = await client.post("/api/chat", json={**ASK, "query": text})
    assert response.status_code == 200


@pytest.mark.parametrize("error_class", PlumblineError.__subclasses__())
async def test_every_error_keeps_its_status_and_type(error_class: type[PlumblineError]) -> None:
    error = error_class(detail="asyncpg: relation secret", retry_after_s=2.4)
    limits = PipelineLimits(retry_delay_s=0, max_retries=0)
    service = make_service(make_stages(executor=FakeExecutor(lambda _: error)), pipeline=limits)
    async with client_of(service) as http:
        response = await http.post("/api/chat", json=ASK)
    assert response.status_code == error_class.status
    told = error_of(response)
    assert (told["type"], told["message"]) == (error_class.type, error_class.default_message)
    assert "secret" not in response.text
    assert response.headers["retry-after"] == "2"


async def test_a_bug_is_an_internal_error_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    stages = make_stages(executor=FakeExecutor(lambda _: ValueError("postgresql://u:pw@h/db")))
    async with client_of(make_service(stages)) as http:
        response = await http.post("/api/chat", json=ASK)
        broken = make_stages(conversations=None)
    assert response.status_code == 500
    assert error_of(response)["type"] == "internal_error"
    assert "pw" not in response.text
    (record,) = [r for r in caplog.records if r.message == "error"]
    assert record.question == ASK["query"]  # type: ignore[attr-defined]
    assert record.exc_info is not None
    async with client_of(make_service(broken)) as http:
        cleared = await http.post("/api/chat/clear", json={"user_id": "ann", "conversation_id": "c"})
    assert cleared.status_code == 500
    assert error_of(cleared)["type"] == "internal_error"


async def test_request_ids_go_in_and_out(client: httpx.AsyncClient) -> None:
    given = await client.post("/api/chat", json=ASK, headers={"x-request-id": "abc-1.2:3"})
    assert given.headers["x-request-id"] == given.json()["metadata"]["request_id"] == "abc-1.2:3"
    hostile = await client.post("/api/chat", json=ASK, headers={"x-request-id": "a b{}" + "c" * 200})
    assert len(hostile.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat", {"message": "How many?", "session_id": None}),
        ("/chat", {"question": "How many?", "org_id": "o", "temperature": 0.3}),
        ("/api/chat", {"message": "How many?", "user_id": "u", "stream": False}),
        ("/chat", {"query": "How many?", "user_id": "u"}),
    ],
)
async def test_the_former_api_is_answered_in_the_same_shape(
    client: httpx.AsyncClient, path: str, body: Any
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 200
    assert set(response.json()) == SHAPE
    again = {
        **{k: v for k, v in body.items() if k != "session_id"},
        "user_id": body.get("user_id", "anonymous"),
    }
    again["session_id" if "query" not in body else "conversation_id"] = response.json()["conversation_id"]
    assert (await client.post(path, json=again)).json()["metadata"]["context_length"] == 1


async def test_conversations_are_cleared_and_unknown_ones_told(client: httpx.AsyncClient) -> None:
    conversation = (await client.post("/api/chat", json=ASK)).json()["conversation_id"]
    known = {**ASK, "conversation_id": conversation}
    assert (await client.post("/api/chat", json=known)).status_code == 200
    cleared = await client.post("/api/chat/clear", json={"user_id": "ann", "conversation_id": conversation})
    assert cleared.json() == {"success": True, "conversation_id": conversation}
    response = await client.post("/api/chat", json=known)
    assert response.status_code == 404
    assert error_of(response)["type"] == "conversation_not_found"


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def test_the_stream_tells_steps_tokens_sql_rows_and_the_answer(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/chat/stream", json=ASK)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    names = [name for name, _ in events]
    assert names[0] == "stage"
    assert [n for n in names if n != "stage"] == ["token", "token", "sql", "rows", "done"]
    done = events[-1][1]
    assert set(done) == SHAPE
    assert dict(events)["rows"]["data"] == done["data"]


async def test_a_stream_that_cannot_begin_has_a_status_and_a_later_failure_an_event(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/api/chat/stream", json={**ASK, "conversation_id": "nope"})
    assert response.status_code == 404
    assert error_of(response)["type"] == "conversation_not_found"
    late = make_service(make_stages(executor=FakeExecutor(lambda _: ValueError("driver text"))))
    async with client_of(late) as http:
        response = await http.post("/api/chat/stream", json=ASK)
    assert response.status_code == 200
    name, body = events_of(response.text)[-1]
    assert (name, body["error"]["type"]) == ("error", "internal_error")
    assert "driver text" not in response.text


async def test_overload_is_told_with_when_to_come_back() -> None:
    gate = Gate()
    limits = LimitSettings(max_concurrent_questions=1, max_queued_questions=1, retry_after_s=7)
    service = make_service(make_stages(generator=FakeGenerator(gate=gate)), limits=limits)
    async with client_of(service) as http:
        held = [asyncio.create_task(http.post("/api/chat", json=ASK)) for _ in range(2)]
        await gate.reached.wait()
        while service.admission.waiting == 0:  # noqa: ASYNC110 - a count, and no event tells of it
            await asyncio.sleep(0)
        for path in ("/api/chat", "/api/chat/stream"):
            response = await http.post(path, json=ASK)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "7"
            assert error_of(response)["type"] == "overloaded"
        assert (await http.get("/health")).status_code == 200
        gate.opened.set()
        assert [r.status_code for r in await asyncio.gather(*held)] == [200, 200]


async def test_a_question_waits_for_its_turn_no_longer_than_it_could_use_it() -> None:
    gate = Gate()
    service = make_service(
        make_stages(generator=FakeGenerator(gate=gate)), limits=LimitSettings(max_concurrent_questions=1)
    )
    async with client_of(service) as http:
        held = asyncio.create_task(http.post("/api/chat", json=ASK))
        await gate.reached.wait()
        service._patience_s = 0.0
        for path in ("/api/chat", "/api/chat/stream"):
            response = await http.post(path, json=ASK)
            assert (response.status_code, error_of(response)["type"]) == (503, "overloaded")
            assert "retry-after" in response.headers
        gate.opened.set()
        assert (await held).status_code == 200
    assert (service.admission.active, service.admission.waiting) == (0, 0)


async def test_errors_of_every_call_are_counted() -> None:
    service = make_service()
    async with client_of(service) as http:
        await http.post("/api/chat/clear", json={"user_id": "ann", "conversation_id": "unknown"})
        errors = (await http.get("/api/metrics")).json()["errors_by_type"]
    assert errors == {"conversation_not_found": 1}


async def test_ready_waits_for_every_stage() -> None:
    memory = FakeConversations()
    async with client_of(make_service(make_stages(conversations=memory))) as http:
        assert (await http.get("/ready")).status_code == 200
        memory.ok = False
        response = await http.get("/ready")
        assert response.status_code == 503
        assert response.json()["status"] == "degraded"
        health = await http.get("/api/chat/health")
        assert health.status_code == 200
        assert [s["stage"] for s in health.json()["stages"] if not s["ok"]] == ["conversations"]


async def test_load_balancers_may_ask_by_head(client: httpx.AsyncClient) -> None:
    for path in ("/ready", "/health", "/api/chat/health"):
        assert (await client.head(path)).status_code == 200


async def test_a_stage_whose_health_fails_is_reported_not_raised() -> None:
    class Away(FakeConversations):
        async def health(self) -> StageHealth:
            raise Overloaded()

    async with client_of(make_service(make_stages(conversations=Away()))) as http:
        response = await http.get("/ready")
    assert response.status_code == 503
    assert response.json()["stages"][0]["detail"] == Overloaded.default_message


async def test_sql_is_validated_and_run_under_the_same_checks() -> None:
    validator = FakeValidator(lambda sql: rejected("single_select") if "DROP" in sql else make_valid(sql))
    async with client_of(make_service(make_stages(validator=validator))) as http:
        verdict = (await http.post("/api/sql/validate", json={"sql": "DROP TABLE t"})).json()
        assert verdict["accepted"] is False
        assert verdict["violations"][0]["rule"] == "single_select"
        assert (await http.post("/api/sql/validate", json={"sql": "SELECT 1"})).json()["accepted"] is True
        refused = await http.post("/api/sql/run", json={"sql": "DROP TABLE t", "user_id": "ann"})
        assert refused.status_code == 422
        assert (error_of(refused)["type"], error_of(refused)["rule"]) == (
            "validation_failed",
            "single_select",
        )
        assert refused.json()["metadata"]["violations"] == verdict["violations"]
        ran = (await http.post("/api/sql/run", json={"sql": "SELECT 1"})).json()
        assert (ran["success"], ran["data"]["rows"], ran["sql"]) == (True, [{"n": 1}], "SELECT 1")


def make_valid(sql: str) -> Any:
    return FakeValidator()._verdict_of(sql)


async def test_sql_that_a_person_ran_is_logged(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "plumbline.service")
    await client.post("/api/sql/run", json={"sql": "SELECT 1", "user_id": "ann"})
    (record,) = [r.__dict__ for r in caplog.records if r.getMessage() == "sql"]
    assert (record["user_id"], record["sql"], record["row_count"]) == ("ann", "SELECT 1", 1)
    assert record["outcome"] == "answer"


async def test_a_database_error_of_run_sql_is_told_without_driver_text_and_is_no_question() -> None:
    stages = make_stages(executor=FakeExecutor(lambda _: ExecutionFailed(detail="relation secret")))
    async with client_of(make_service(stages)) as http:
        response = await http.post("/api/sql/run", json={"sql": "SELECT 1"})
        report = (await http.get("/api/metrics")).json()
    assert (report["questions_total"], report["errors_by_type"]) == (0, {"execution_failed": 1})
    assert response.status_code == 422
    assert error_of(response)["type"] == "execution_failed"
    assert "secret" not in response.text


async def test_metrics_count_questions_and_errors(client: httpx.AsyncClient) -> None:
    await client.post("/api/chat", json=ASK)
    await client.post("/api/chat", json={})
    report = (await client.get("/api/metrics")).json()
    assert report["questions_total"] == 1
    assert report["errors_by_type"] == {"invalid_request": 1}
    assert report["error_rate"] == 0
    assert report["latency_s"]["p50"] > 0
    assert report["memory_bytes"] == {"cpu": 10}


async def test_features_can_be_switched_off() -> None:
    off = FeatureSettings(streaming=False, sql_endpoints=False, former_api=False, docs=False)
    async with client_of(make_service(features=off, model_enabled=False)) as http:
        for path in ("/api/chat/stream", "/api/sql/run", "/chat", "/docs", "/openapi.json"):
            assert (await http.post(path, json=ASK)).status_code == 404
        response = await http.post("/api/chat", json=ASK)
    assert response.status_code == 503
    assert error_of(response)["type"] == "model_unavailable"


async def test_openapi_lists_every_call_and_no_foreign_error_shape(client: httpx.AsyncClient) -> None:
    spec = (await client.get("/openapi.json")).json()
    assert {
        "/api/chat",
        "/api/chat/stream",
        "/api/chat/clear",
        "/ready",
        "/api/schema",
        "/api/sql/run",
    } <= set(spec["paths"])
    assert "HTTPValidationError" not in spec["components"]["schemas"]
    assert (await client.get("/docs")).status_code == 200


async def test_the_schema_is_shown(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/schema")).json()["tables"][0]["name"] == "t"
    assert (await client.get("/api/schema", params={"refresh": "maybe"})).status_code == 400


async def test_generated_text_stays_text(client: httpx.AsyncClient) -> None:
    stages = make_stages(generator=FakeGenerator(make_generation("a\n\nevent: done\ndata: {}")))
    async with client_of(make_service(stages)) as http:
        events = events_of((await http.post("/api/chat/stream", json=ASK)).text)
    assert [n for n, _ in events].count("done") == 1


async def test_no_call_takes_longer_than_a_question_may() -> None:
    stages = make_stages()
    async with client_of(make_service(stages)) as http:
        answered = (await http.post("/api/chat", json=ASK)).json()
    hanging = stages._replace(executor=FakeExecutor(gate=Gate()))
    limits = PipelineLimits(request_timeout_s=0.05)
    async with client_of(make_service(hanging, pipeline=limits)) as http:
        ran = await http.post("/api/sql/run", json={"sql": "SELECT 1"})
        given = {"conversation_id": answered["conversation_id"], "user_id": "ann", "verdict": "down"}
        corrected = await http.post("/api/feedback", json={**given, "sql": "SELECT 1"})
    assert (ran.status_code, error_of(ran)["type"]) == (504, "execution_timeout")
    assert (corrected.status_code, error_of(corrected)["type"]) == (503, "overloaded")
