"""Property 14: whatever fails, wherever, the caller gets a stable type and a sentence to act on."""

import asyncio
from typing import Any

import httpx
from fakes import (
    FakeConversations,
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    make_stages,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.contracts import RejectedSql
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
