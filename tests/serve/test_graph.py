"""The running graph over HTTP: real Serve, real database, real engine."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from executor_helpers import wait_until

from tests.serve_support import CONCURRENT, QUEUED, Graph

pytestmark = [pytest.mark.serve, pytest.mark.postgres]

ASK = {"query": "How much was spent on permits?", "user_id": "ann"}
COUNT = {"sql": "SELECT count(*) AS n FROM projects"}
# Hundreds of millions of pairs: runs until its timeout or until it is cancelled.
ENDLESS = {"sql": "SELECT count(*) FROM labor a CROSS JOIN labor b WHERE a.hours * b.hours > 1000"}


def error_type(response: httpx.Response) -> str:
    body: dict[str, Any] = response.json()
    assert body["success"] is False
    assert "Traceback" not in response.text
    kind: str = body["error"]["type"]
    return kind


async def test_every_stage_is_ready(http: httpx.AsyncClient) -> None:
    response = await http.get("/ready")
    assert response.status_code == 200
    stages = response.json()["stages"]
    assert {s["stage"] for s in stages} == {
        "conversations",
        "prompt_builder",
        "generator",
        "sql_validator",
        "executor",
    }


async def test_sql_gives_the_rows_that_the_database_holds(http: httpx.AsyncClient, graph: Graph) -> None:
    response = await http.post("/api/sql/run", json=COUNT)
    connection = await asyncpg.connect(graph.database.admin_dsn)
    try:
        expected = await connection.fetchval("SELECT count(*) FROM projects")
    finally:
        await connection.close()
    assert response.json()["data"]["rows"] == [{"n": expected}]


async def test_a_question_reaches_the_model_and_comes_back(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/chat", json=ASK, headers={"x-request-id": "graph-1"})
    metadata = response.json()["metadata"]
    # The weights are random, so the model's words mean nothing; that it was asked shows in the figures.
    assert metadata["engine"] == "transformers"
    assert metadata["tokens"]["prompt"] > 100
    assert {"context", "prompt", "generate", "interpret"} <= set(metadata["timings_ms"])
    assert response.headers.get_list("x-request-id") == ["graph-1"]
    assert metadata["request_id"] == "graph-1"


async def test_a_verified_example_answers_without_the_model_and_takes_feedback(
    http: httpx.AsyncClient,
) -> None:
    # The pack verifies this question for February 2026.
    question = {"query": "What was charged to our books in May 2026?", "user_id": "ann"}
    answered = (await http.post("/api/chat", json=question)).json()
    assert answered["success"]
    assert "'2026-05-01'" in answered["sql"]
    assert answered["metadata"]["engine"] == "verified"
    assert answered["metadata"]["tokens"]["output"] == 0
    given = {"conversation_id": answered["conversation_id"], "user_id": "ann", "verdict": "down"}
    refused = await http.post("/api/feedback", json={**given, "sql": "DROP TABLE projects"})
    assert (refused.status_code, error_type(refused)) == (422, "validation_failed")
    kept = await http.post("/api/feedback", json={**given, "sql": "SELECT 1 AS n"})
    assert (kept.status_code, kept.json()["status"]) == (200, "pending")
    stranger = await http.post("/api/feedback", json={**given, "user_id": "bob"})
    assert (stranger.status_code, error_type(stranger)) == (404, "conversation_not_found")


async def test_a_conversation_is_kept_and_cleared(http: httpx.AsyncClient) -> None:
    first = (await http.post("/api/chat", json=ASK)).json()
    again = {**ASK, "conversation_id": first["conversation_id"]}
    second = (await http.post("/api/chat", json=again)).json()
    assert second["conversation_id"] == first["conversation_id"]
    assert second["metadata"]["context_length"] == 1
    stranger = await http.post("/api/chat", json={**again, "user_id": "bob"})
    assert (stranger.status_code, error_type(stranger)) == (404, "conversation_not_found")
    cleared = await http.post(
        "/api/chat/clear", json={"user_id": "ann", "conversation_id": first["conversation_id"]}
    )
    assert cleared.json()["success"] is True


async def test_unsafe_sql_is_refused_with_its_rule(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/sql/run", json={"sql": "DELETE FROM expenses"})
    assert (response.status_code, error_type(response)) == (422, "validation_failed")
    assert response.json()["error"]["rule"]


async def test_unreadable_requests_keep_the_shape_behind_the_proxy(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    broken = await http.post("/api/chat", content=b"\xff{", headers=headers)
    assert (broken.status_code, error_type(broken)) == (400, "invalid_request")
    large = await http.post("/api/chat", content=b"x" * 100_000, headers=headers)
    assert (large.status_code, error_type(large)) == (413, "invalid_request")
    missing = await http.get("/nothing")
    assert (missing.status_code, error_type(missing)) == (404, "invalid_request")


async def test_the_stream_ends_with_the_answer(http: httpx.AsyncClient) -> None:
    async with http.stream("POST", "/api/chat/stream", json=ASK) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.aiter_lines()]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names[0] == "stage"
    assert "token" in names
    assert names[-1] == "done"
    unknown = await http.post("/api/chat/stream", json={**ASK, "conversation_id": "nope"})
    assert (unknown.status_code, error_type(unknown)) == (404, "conversation_not_found")


async def running_queries(graph: Graph) -> int:
    connection = await asyncpg.connect(graph.database.admin_dsn)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%CROSS JOIN%' "
                "AND pid <> pg_backend_pid()"
            )
        )
    finally:
        await connection.close()


async def test_a_client_that_hangs_up_cancels_its_query_on_the_server(
    http: httpx.AsyncClient, graph: Graph
) -> None:
    async def runs() -> bool:
        return await running_queries(graph) > 0

    async def is_over() -> bool:
        return await running_queries(graph) == 0

    request = asyncio.create_task(http.post("/api/sql/run", json=ENDLESS))
    await wait_until(runs)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    async with asyncio.timeout(5):
        await wait_until(is_over)


async def test_a_statement_that_takes_too_long_is_told_whatever_the_client_asks_of_the_proxy(
    http: httpx.AsyncClient,
) -> None:
    headers = {"x-request-timeout-seconds": "0", "x-request-disconnect-disabled": "?1"}
    response = await http.post("/api/sql/run", json=ENDLESS, headers=headers)
    assert (response.status_code, error_type(response)) == (504, "execution_timeout")


async def test_overload_is_refused_cleanly_and_the_rest_answered(http: httpx.AsyncClient) -> None:
    questions = 40
    responses = await asyncio.gather(*(http.post("/api/chat", json=ASK) for _ in range(questions)))
    refused = [r for r in responses if r.status_code != 200]
    assert len(responses) - len(refused) >= CONCURRENT + QUEUED
    assert refused
    for response in refused:
        assert response.status_code == 503
        assert error_type(response) == "overloaded"
        assert int(response.headers["retry-after"]) >= 1
    assert (await http.post("/api/chat", json=ASK)).status_code == 200


async def test_the_metrics_and_the_logs_tell_of_a_question(http: httpx.AsyncClient, log_file: Path) -> None:
    await http.post("/api/chat", json=ASK, headers={"x-request-id": "graph-logged"})
    report = (await http.get("/api/metrics")).json()
    assert report["questions_total"] >= 1
    text = await asyncio.to_thread(log_file.read_text, encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    mine = [line for line in lines if line.get("request_id") == "graph-logged"]
    assert [line["stage"] for line in mine if line["message"] == "stage"][:4] == [
        "context",
        "propose",
        "prompt",
        "generate",
    ]
    (query,) = [line for line in mine if line["message"] == "query"]
    assert query["question"] == ASK["query"]
    assert query["prompt_tokens"] > 0
    assert all(line["deployment"] for line in mine)
