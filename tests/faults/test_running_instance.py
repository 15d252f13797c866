"""Faults under an instance as an operator starts it: a damaged model, and an embedded database that dies."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.executor.deployment import DATABASE_FOLDER
from deployments.executor.embedded import EmbeddedPostgres
from serve_app.paths import PROJECT_ROOT
from tests.cli_support import Operator, fresh_operator

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

MODELS = PROJECT_ROOT / "configs" / "models"
ASK = {"query": "What were total expenses by category this year?", "user_id": "ann"}
# A guard against a hang; Serve starts a replica that does not come up again after growing pauses.
RECOVERY_S = 180.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The house model in a place of its own, to be damaged."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(MODELS / "house" / "weights", folder / "house" / "weights")
    shutil.copy(MODELS / "house.yaml", folder / "house.yaml")
    return folder / "house" / "weights"


@pytest.fixture(scope="module")
def operator(weights: Path) -> Iterator[Operator]:
    with fresh_operator() as made:
        more = {
            "PLUMBLINE_MODEL_PROFILE": str(weights.parents[1] / "house.yaml"),
            # A question that waits for a part that does not come up is not waited for longer than needed.
            "PLUMBLINE_LIMITS_REQUEST_TIMEOUT_S": "20",
        }
        yield replace(made, environment=made.environment | more)


@pytest.fixture(scope="module")
def running(operator: Operator) -> Operator:
    started = operator.run("up", "--detach")
    assert started.returncode == 0, started.stderr
    return operator


def flip_a_bit(weights: Path) -> None:
    file = weights / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def ask(http: httpx.AsyncClient, **more: str) -> dict[str, Any]:
    reply = await http.post("/api/chat", json=ASK | more)
    return {"status": reply.status_code, **reply.json()}


async def is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/ready")).status_code == 200


async def until(condition: Any) -> None:
    async with asyncio.timeout(RECOVERY_S):
        while not await condition():  # noqa: ASYNC110 - the condition lies in other processes
            await asyncio.sleep(0.1)


def kill_replica(operator: Operator, deployment: str) -> None:
    supervisor = psutil.Process(operator.status()["pid"])
    (replica,) = (
        process
        for process in supervisor.children(recursive=True)
        if any(f":{deployment}" in part for part in process.cmdline()[:1])
    )
    replica.kill()


async def test_a_model_damaged_under_a_running_instance_costs_what_needs_it_anew(
    running: Operator, weights: Path
) -> None:
    """Whoever has loaded the model goes on; a replica that must load it says so until it is restored."""
    async with httpx.AsyncClient(base_url=running.url, timeout=90) as http:
        first = await ask(http)
        assert first["success"]
        conversation = first["conversation_id"]
        flip_a_bit(weights)
        second = await ask(http, conversation_id=conversation)
        assert second["data"]["rows"] == first["data"]["rows"]
        kill_replica(running, "Generator")

        async def is_told() -> bool:
            return not await is_ready(http)

        await until(is_told)
        refused = await ask(http, conversation_id=conversation)
        told = (refused["status"], refused["error"]["type"])
        # With no replica at all the question may have waited for one until its end.
        assert told in ((503, "model_unavailable"), (504, "generation_timeout"))
        # What needs no model is served meanwhile.
        statement = {"sql": "SELECT count(*) FROM projects", "user_id": "ann"}
        assert (await http.post("/api/sql/run", json=statement)).status_code == 200
        flip_a_bit(weights)
        await until(lambda: is_ready(http))
        third = await ask(http, conversation_id=conversation)
        assert third["data"]["rows"] == first["data"]["rows"]
        # The turns that were answered, and no other.
        assert third["metadata"]["context_length"] == 2


async def test_a_killed_embedded_database_is_brought_back(running: Operator) -> None:
    server = EmbeddedPostgres(Path(running.environment["PLUMBLINE_DATA_DIR"]) / DATABASE_FOLDER)
    pid = server.postmaster_pid()
    assert pid is not None
    async with httpx.AsyncClient(base_url=running.url, timeout=90) as http:
        first = await ask(http)
        os.kill(pid, signal.SIGKILL)

        async def is_answered() -> bool:
            reply = await ask(http, conversation_id=first["conversation_id"])
            if not reply["success"]:
                assert (reply["status"], reply["error"]["type"]) == (503, "execution_failed")
            return bool(reply["success"])

        await until(is_answered)
        await until(lambda: is_ready(http))
        last = await ask(http, conversation_id=first["conversation_id"])
        assert last["data"]["rows"] == first["data"]["rows"]
        assert last["metadata"]["context_length"] == 2
