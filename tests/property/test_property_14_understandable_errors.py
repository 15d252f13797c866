"""Property 14: whatever fails, wherever, the caller gets a stable type and a sentence to act on."""

import asyncio
from functools import cache
from typing import Any

import httpx
from fakes import (
    ASKED_AT,
    FakeConversations,
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    make_stages,
)
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.api_models import ChatResponse
from serve_app.contracts import Exchange, RejectedSql
from serve_app.errors import PlumblineError
from serve_app.http_app import make_app
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import PipelineLimits
from serve_app.service import ChatService, ServiceConfig
from tests.fuzz.statements import batch
from tests.sql_cases import validator

STAGES = {
    "conversations": ("context", FakeConversations),
    "prompt_builder": ("build", FakePromptBuilder),
    "generator": ("generate", FakeGenerator),
    "validator": ("validate", FakeValidator),
    "executor": ("run", FakeExecutor),
}
TYPES = {
    "model_unavailable", "generation_failed", "generation_timeout", "validation_failed", "execution_failed",
    "execution_timeout", "permission_denied", "conversation_not_found", "invalid_request", "overloaded",
    "internal_error", "store_unavailable", "configuration_error",
}  # fmt: skip
SECRET = "postgresql://ann:hunter2@db/x relation secret_table"


def all_errors(base: type[PlumblineError] = PlumblineError) -> list[type[PlumblineError]]:
    return [base, *(e for child in base.__subclasses__() for e in all_errors(child))]


ERRORS = st.one_of(
    st.sampled_from(all_errors()).map(lambda kind: kind(detail=SECRET)),
    st.sampled_from([ValueError, KeyError, RuntimeError, OSError, TimeoutError, ZeroDivisionError]).map(
        lambda kind: kind(SECRET)
    ),
)


# Every other call that works with a stage, and the methods of stages that it works with.
ANN = {"user_id": "ann"}
SQL = {"sql": "SELECT name FROM t"}
FEEDBACK = {"conversation_id": "c1", **ANN}
CALLS: list[tuple[str, dict[str, Any] | None, list[tuple[str, str]]]] = [
    ("/api/chat/clear", FEEDBACK, [("conversations", "clear")]),
    ("/api/sql/validate", SQL, [("validator", "validate")]),
    ("/api/sql/run", SQL, [("validator", "validate"), ("executor", "run")]),
    ("/api/schema", None, [("executor", "schema")]),
    (
        "/api/feedback",
        {**FEEDBACK, **SQL, "verdict": "down"},
        [
            *(("conversations", "exchange"), ("conversations", "give_feedback")),
            *(("validator", "validate"), ("executor", "run")),
        ],
    ),
]
FAILURES = [(path, body, *at) for path, body, places in CALLS for at in places]


def failing(stage: str, error: Exception) -> Any:
    method, fake = STAGES[stage]

    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    double = fake()
    setattr(double, method, fail)
    return double


async def ask(stage: str, error: Exception, path: str) -> httpx.Response:
    stages = make_stages(**{stage: failing(stage, error)})
    config = ServiceConfig(pipeline=PipelineLimits(retry_delay_s=0, max_retries=1))
    transport = httpx.ASGITransport(make_app(ChatService(stages, config, Figures(NullRecorder()))))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.post(path, json={"query": "How many?", "user_id": "ann"})


@settings(max_examples=200, deadline=None)
@given(
    stage=st.sampled_from(sorted(STAGES)),
    error=ERRORS,
    path=st.sampled_from(["/api/chat", "/api/chat/stream", "/chat"]),
)
def test_property_14_every_failure_gives_a_sentence_to_act_on(
    stage: str, error: Exception, path: str
) -> None:
    response = asyncio.run(ask(stage, error, path))
    text = response.text
    assert "hunter2" not in text
    assert "secret_table" not in text
    assert "Traceback" not in text
    if response.headers["content-type"].startswith("text/event-stream"):
        assert text.rstrip().split("\n\n")[-1].startswith("event: error")
        body = response.read().decode().rstrip().split("data: ")[-1]
        told = httpx.Response(200, content=body).json()["error"]
    else:
        told = response.json()["error"]
        assert response.status_code == (error.status if isinstance(error, PlumblineError) else 500)
    assert told["type"] in TYPES
    assert told["message"][0].isupper()
    assert told["message"].rstrip().endswith(".")
    assert len(told["message"].split()) >= 4


RAISED: list[Exception] = []


@cache
def app_of(stage: str, method: str) -> FastAPI:
    """The app over a stage whose method raises what was put into `RAISED` last."""
    double = STAGES[stage][1]()

    async def fail(*_: Any, **__: Any) -> Any:
        raise RAISED[-1]

    setattr(double, method, fail)
    stages = make_stages(**{stage: double})
    conversations = stages.conversations
    assert isinstance(conversations, FakeConversations)
    conversations.exchanges["c1"] = [Exchange(question="How many?", sql=SQL["sql"], at=ASKED_AT)]
    return make_app(ChatService(stages, ServiceConfig(), Figures(NullRecorder())))


async def call(stage: str, method: str, error: Exception, path: str, body: Any) -> httpx.Response:
    RAISED[:] = [error]
    transport = httpx.ASGITransport(app_of(stage, method), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request("GET" if body is None else "POST", path, json=body)


@settings(max_examples=200, deadline=None)
@given(failure=st.sampled_from(FAILURES), error=ERRORS)
def test_property_14_every_other_call_tells_its_failures_in_the_same_shape(
    failure: tuple[str, Any, str, str], error: Exception
) -> None:
    path, body, stage, method = failure
    response = asyncio.run(call(stage, method, error, path, body))
    assert response.status_code == (error.status if isinstance(error, PlumblineError) else 500)
    told = response.json()
    assert set(told) == set(ChatResponse.model_fields)
    assert (told["success"], told["data"]) == (False, None)
    assert told["error"]["type"] in TYPES
    assert told["error"]["message"].rstrip().endswith(".")
    assert told["metadata"]["request_id"] == response.headers["x-request-id"]
    assert "hunter2" not in response.text
    assert "secret_table" not in response.text


@settings(max_examples=100, deadline=None)
@given(stage=st.sampled_from(sorted(STAGES)), error=ERRORS, path=st.sampled_from(["/health", "/ready"]))
def test_property_14_a_stage_that_cannot_say_how_it_is_counts_as_not_serving(
    stage: str, error: Exception, path: str
) -> None:
    response = asyncio.run(call(stage, "health", error, path, None))
    assert response.status_code == (200 if path == "/health" else 503)
    report = response.json()
    assert report["status"] == "degraded"
    (bad,) = [told for told in report["stages"] if not told["ok"]]
    assert (bad["stage"], bad["detail"][-1]) == (stage, ".")
    assert "hunter2" not in response.text


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 4))
def test_property_14_every_refused_statement_gives_words_for_the_user_and_a_reason_for_the_model(
    seed: int, size: int
) -> None:
    for sql, policy in batch(seed, 0, size):
        verdict = validator().validate(sql, policy)
        if not isinstance(verdict, RejectedSql):
            continue
        for found in verdict.violations:
            assert found.rule != "internal"
            assert found.message[0].isupper()
            assert found.message.endswith(".")
            assert len(found.message.split()) >= 4
            assert found.reason
            assert "Traceback" not in found.reason
            assert "password_hash" not in found.message or "password_hash" in sql
            assert found.position is None or 0 <= found.position <= len(sql)
