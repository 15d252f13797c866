"""A replica of each stage is killed while questions are in flight: each is answered or cleanly refused."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
import ray
from ray.util import list_named_actors

from serve_app.serve_config import DEPLOYMENTS

pytestmark = [pytest.mark.serve, pytest.mark.postgres]

ASK = {"query": "How much was spent on permits?", "user_id": "ann"}
RUN = {"sql": "SELECT category, sum(amount) FROM expenses GROUP BY category"}
# Guards against a hang; recovery itself takes 3 to 10 s on an idle machine.
RECOVERY_S = 120.0
CLEAN = {"overloaded", "model_unavailable", "execution_failed"}


def replicas_of(deployment: str) -> list[str]:
    names = [actor["name"] for actor in list_named_actors(all_namespaces=True)]
    return [name for name in names if name and f"#{deployment}#" in name]


def kill_a_replica(deployment: str) -> str:
    (name, *_) = replicas_of(deployment)
    ray.kill(ray.get_actor(name, namespace="serve"), no_restart=True)
    return name


async def until_ready(http: httpx.AsyncClient) -> None:
    """Poll /ready; a replica that loads a model on a busy machine takes its time, a hang fails."""
    async with asyncio.timeout(RECOVERY_S):
        while not await is_ready(http):  # noqa: ASYNC110 - the condition lies in other processes
            await asyncio.sleep(0.1)


async def is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/ready")).status_code == 200
    except httpx.HTTPError:
        return False


def judged(response: httpx.Response | BaseException, deployment: str) -> str:
    """``answered`` or the type of a clean refusal; anything else fails."""
    if isinstance(response, BaseException):
        raise response
    if deployment == "Ingress" and "application/json" not in response.headers.get("content-type", ""):
        # The replica that spoke HTTP is gone; Serve's proxy answers in its stead.
        assert response.status_code in (500, 503)
        return "ingress lost"
    body: dict[str, Any] = response.json()
    if body["success"]:
        assert response.status_code == 200
        return "answered"
    assert response.status_code in (422, 503), response.text
    assert body["error"]["type"] in CLEAN, response.text
    return str(body["error"]["type"])


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
async def test_every_question_in_flight_is_answered_or_cleanly_refused(
    http: httpx.AsyncClient, deployment: str
) -> None:
    await until_ready(http)
    calls: list[Coroutine[Any, Any, httpx.Response]] = [
        *(http.post("/api/chat", json=ASK) for _ in range(4)),
        *(http.post("/api/sql/run", json=RUN) for _ in range(6)),
    ]
    in_flight = [asyncio.create_task(call) for call in calls]
    # The first answers show that the others are under way.
    await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
    killed = await asyncio.to_thread(kill_a_replica, deployment)
    later = [asyncio.create_task(http.post("/api/sql/run", json=RUN)) for _ in range(2)]
    outcomes = [
        judged(r, deployment) for r in await asyncio.gather(*in_flight, *later, return_exceptions=True)
    ]
    assert "answered" in outcomes
    await until_ready(http)
    assert killed not in replicas_of(deployment)
    assert (await http.post("/api/sql/run", json=RUN)).status_code == 200
