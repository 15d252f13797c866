import json
from typing import Any

import httpx
import pytest

from serve_app.evaluation.client import Endpoint, Reply

ANSWER = {
    "success": True,
    "data": {"rows": []},
    "sql": "SELECT 1",
    "answer": "One.",
    "conversation_id": "c-1",
}


async def ask(*responses: httpx.Response | Exception, **arguments: Any) -> tuple[Reply, list[dict[str, Any]]]:
    """Ask an endpoint that gives these responses in turn; also what was sent."""
    sent: list[dict[str, Any]] = []
    waiting = list(responses)

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/chat"
        sent.append(json.loads(request.content))
        response = waiting.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await Endpoint(client, "http://server/").ask("how many?", **arguments), sent


async def test_an_answer_brings_its_sql_and_conversation() -> None:
    reply, sent = await ask(httpx.Response(200, json=ANSWER), conversation_id="c-1")
    assert (reply.kind, reply.sql, reply.conversation_id) == ("answer", "SELECT 1", "c-1")
    assert reply.latency_ms > 0
    assert sent == [{"query": "how many?", "user_id": "plumbline-eval", "conversation_id": "c-1"}]


@pytest.mark.parametrize(
    ("status", "body", "kind", "error_type"),
    [
        (200, {**ANSWER, "data": None, "clarification": "Which one?"}, "clarification", None),
        (200, {**ANSWER, "data": None, "sql": None}, "refusal", None),
        (
            422,
            {"success": False, "error": {"type": "validation_failed", "message": "no"}},
            "error",
            "validation_failed",
        ),
        (500, {"detail": "x"}, "error", "http_500"),
        (404, "not json", "error", "http_404"),
    ],
)
async def test_other_replies_are_told_apart(
    status: int, body: Any, kind: str, error_type: str | None
) -> None:
    response = (
        httpx.Response(status, json=body) if isinstance(body, dict) else httpx.Response(status, text=body)
    )
    reply, _ = await ask(response)
    assert (reply.kind, reply.error_type) == (kind, error_type)


async def test_an_unreachable_server_is_an_error_of_its_own() -> None:
    reply, _ = await ask(httpx.ConnectError("refused"))
    assert (reply.kind, reply.error_type) == ("error", "unreachable")


async def test_overload_is_waited_out_as_told() -> None:
    busy = httpx.Response(503, json={"success": False}, headers={"retry-after": "0"})
    reply, sent = await ask(busy, busy, httpx.Response(200, json=ANSWER))
    assert reply.kind == "answer"
    assert len(sent) == 3


async def test_a_503_without_a_time_is_final() -> None:
    error = {"success": False, "error": {"type": "model_unavailable", "message": "m"}}
    reply, sent = await ask(httpx.Response(503, json=error))
    assert reply.error_type == "model_unavailable"
    assert len(sent) == 1
