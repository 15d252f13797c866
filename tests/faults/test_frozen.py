"""Replicas that are frozen or hang answer nothing: every call ends in time, and they are replaced."""

import asyncio
import threading
from typing import Any

import httpx
import pytest
import torch

from serve_app.errors import GenerationTimeout
from tests.faults_support import (
    ASK,
    COUNT,
    Conversation,
    Stopwatch,
    asked,
    frozen,
    outcome,
    replica_of,
    until,
    until_ready,
    until_replaced,
)
from tests.serve_support import STAGE_TIMEOUT_S, Graph

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

# Between the end of a call and the answer at the client, on a busy machine; far below any other limit.
LEEWAY_S = 10.0


async def timed(call: Any) -> tuple[str, float]:
    watch = Stopwatch()
    return await call, watch.seconds()


async def schema(http: httpx.AsyncClient) -> str:
    response = await http.get("/api/schema", params={"refresh": "true"})
    body = response.json()
    return outcome(response.status_code, body) if "success" in body else "answered"


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        ("PromptBuilder", {"overloaded"}),
        # It counts the prompt's tokens, too: for the builder, whose own call may end first.
        ("Generator", {"overloaded", "model_unavailable"}),
    ],
)
async def test_a_question_does_not_wait_for_a_frozen_stage(
    http: httpx.AsyncClient, deployment: str, expected: set[str]
) -> None:
    await until_ready(http)
    conversation = Conversation(http)
    await conversation.ask()
    with frozen(replica_of(deployment)):
        kind, took_s = await timed(asked(http, "/api/chat", conversation.body(ASK)))
    assert kind in expected
    assert took_s < 2 * STAGE_TIMEOUT_S + LEEWAY_S
    await until_ready(http)
    await conversation.has_lost_nothing()


async def test_every_call_ends_in_time_and_all_that_is_frozen_is_replaced(
    http: httpx.AsyncClient, graph: Graph
) -> None:
    await until_ready(http)
    conversation = Conversation(http)
    await conversation.ask()
    stages = [
        replica_of(name)
        for name in ("Conversations", "PromptBuilder", "Generator", "SqlValidator", "Executor")
    ]
    ingress = replica_of("Ingress")
    with frozen(*stages):
        calls = {
            "chat": timed(asked(http, "/api/chat", conversation.body(ASK))),
            "clear": timed(asked(http, "/api/chat/clear", {"user_id": "ann", "conversation_id": "c"})),
            "run": timed(asked(http, "/api/sql/run", COUNT)),
            "validate": timed(asked(http, "/api/sql/validate", COUNT)),
            "schema": timed(schema(http)),
        }
        ended = dict(zip(calls, await asyncio.gather(*calls.values()), strict=True))
        assert {kind for kind, _ in ended.values()} <= {"overloaded", "execution_failed"}, ended
        assert max(took_s for _, took_s in ended.values()) < STAGE_TIMEOUT_S + LEEWAY_S, ended
        with frozen(ingress):
            # The proxy waits for the ingress until it is replaced, or longer than a question may take.
            assert await asked(http, "/api/sql/run", COUNT) in ("answered", "overloaded", "execution_failed")
            await until_replaced(http, ingress, *stages)
    await conversation.has_lost_nothing()


class StuckModel:
    """Stands before a model's forward pass and lets nothing through once told."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward
        self.is_stuck = False
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, *args: Any, **more: Any) -> Any:
        if self.is_stuck:
            self.entered.set()
            self.released.wait(60)
        return self._forward(*args, **more)


async def test_an_engine_whose_step_hangs_is_told_by_its_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three failures of this check have Serve replace the replica, as it does the frozen ones above."""
    from tiny_models import make_request, tiny_profile

    from deployments.generator.deployment import Generator
    from serve_app.settings.tree import LoggingSettings

    replica = Generator(tiny_profile(), True, LoggingSettings())
    replica.reconfigure({"stall_after_s": 0.2})
    model: torch.nn.Module = replica._engine._loaded.model  # type: ignore[union-attr]
    stuck = StuckModel(model.forward)
    monkeypatch.setattr(model, "forward", stuck)
    await replica.generate(make_request())
    await replica.check_health()
    stuck.is_stuck = True
    try:
        with pytest.raises(GenerationTimeout):
            await replica.generate(make_request(request_id="hangs", timeout_s=0.5))
        assert stuck.entered.is_set()

        async def is_told() -> bool:
            try:
                await replica.check_health()
            except RuntimeError as error:
                return "has been running for" in str(error)
            return False

        await until(is_told)
        assert not (await replica.health()).ok
    finally:
        stuck.released.set()
        await replica.__del__()
