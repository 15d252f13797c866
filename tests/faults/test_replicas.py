"""A replica of each stage is killed while it is at work on a question: the question is answered all the same,
or cleanly refused, and no turn of its conversation is lost or doubled.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.contracts import Generation
from serve_app.errors import ModelUnavailable
from tests.faults_support import (
    ASK,
    COUNT,
    SLOW,
    VERIFIED,
    Conversation,
    Stopwatch,
    active_sequences,
    asked,
    following,
    frozen,
    generator,
    long_request,
    outcome,
    replica_of,
    until,
    until_ready,
    until_replaced,
    until_statements,
)
from tests.serve_support import STAGE_TIMEOUT_S, Graph

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

# How long a call is seen to wait at a frozen replica before that is killed.
FROZEN_S = 0.3


@pytest.mark.parametrize(
    ("deployment", "question", "stage"),
    [
        ("PromptBuilder", VERIFIED, "propose"),
        ("Generator", ASK, "prompt"),
        ("SqlValidator", VERIFIED, "validate"),
        ("Executor", VERIFIED, "execute"),
    ],
)
async def test_a_question_survives_the_replica_that_works_on_it(
    http: httpx.AsyncClient, deployment: str, question: dict[str, str], stage: str
) -> None:
    """Frozen before the call and killed after it, so that the call cannot have left it before."""
    await until_ready(http)
    conversation = Conversation(http)
    await conversation.ask()
    replica = replica_of(deployment)
    with frozen(replica):
        async with following(http, conversation.body(question)) as followed:
            await followed.until_stage(stage)
            end = asyncio.create_task(followed.end())
            done, _ = await asyncio.wait([end], timeout=FROZEN_S)
            assert not done
            replica.kill()
            killed = Stopwatch()
            kind = await end
            conversation.note(kind, followed.last[1])
    # A successor that starts for longer than a call may take, on a busy machine, is not waited for.
    assert kind == "answered" or killed.seconds() > STAGE_TIMEOUT_S - 2 * FROZEN_S
    await until_replaced(http, replica)
    await conversation.has_lost_nothing()


async def test_the_turn_is_kept_once_when_the_store_s_replica_is_lost_with_it(
    http: httpx.AsyncClient,
) -> None:
    await until_ready(http)
    conversation = Conversation(http)
    await conversation.ask()
    validator, store = replica_of("SqlValidator"), replica_of("Conversations")
    # The validator holds the question until the store's replica, which it has passed already, is frozen.
    with frozen(validator):
        async with following(http, conversation.body(VERIFIED)) as followed:
            await followed.until_stage("validate")
            with frozen(store):
                validator.resume()
                await followed.until_stage("remember")
                end = asyncio.create_task(followed.end())
                done, _ = await asyncio.wait([end], timeout=FROZEN_S)
                assert not done
                store.kill()
                killed = Stopwatch()
                assert await end == "answered"
            conversation.note("answered", followed.last[1])
    is_told_lost = followed.last[1]["metadata"]["warnings"] != []
    assert not is_told_lost or killed.seconds() > STAGE_TIMEOUT_S - 2 * FROZEN_S
    await until_replaced(http, store)
    await conversation.has_lost_nothing()


async def test_a_statement_survives_the_executor_that_runs_it(http: httpx.AsyncClient, graph: Graph) -> None:
    await until_ready(http)
    answer = asyncio.create_task(asked(http, "/api/sql/run", SLOW))
    await until_statements(graph, lambda running: running > 0)
    executor = replica_of("Executor")
    executor.kill()
    assert await answer in ("answered", "execution_timeout")
    await until_replaced(http, executor)
    # Whatever the lost replica had begun ends, too.
    await until_statements(graph, lambda running: running == 0)
    assert await asked(http, "/api/sql/run", COUNT) == "answered"


async def read_out(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass


async def test_a_generation_is_begun_again_when_its_replica_is_lost(http: httpx.AsyncClient) -> None:
    """A stream cannot be: its loss is told, and the pipeline asks anew."""
    await until_ready(http)
    stream = generator().stream(long_request("stream", 8000))
    await anext(stream)
    whole = asyncio.create_task(generator().generate(long_request("whole", 200)))

    async def both_are_at_work() -> bool:
        return whole.done() or await active_sequences() == 2

    await until(both_are_at_work)
    assert not whole.done()
    replica = replica_of("Generator")
    replica.kill()
    with pytest.raises(ModelUnavailable):
        await read_out(stream)
    generation = await whole
    assert isinstance(generation, Generation)
    assert generation.texts[0].token_count == 200 or generation.texts[0].finish_reason == "stop"
    await until_replaced(http, replica)


async def test_the_questions_of_a_lost_ingress_are_refused_and_others_answered(
    http: httpx.AsyncClient, graph: Graph
) -> None:
    await until_ready(http)
    conversation = Conversation(http)
    await conversation.ask()
    at_work = asyncio.create_task(http.post("/api/sql/run", json=SLOW))
    ingress, executor = replica_of("Ingress"), replica_of("Executor")
    with frozen(executor):
        async with following(http, conversation.body(VERIFIED)) as followed:
            await followed.until_stage("execute")
            ingress.kill()
            assert await followed.end() == "overloaded"
        response = await at_work
        assert outcome(response.status_code, response.json()) in ("answered", "overloaded")
    await until_replaced(http, ingress)
    await conversation.has_lost_nothing()
    await until_statements(graph, lambda running: running == 0)
