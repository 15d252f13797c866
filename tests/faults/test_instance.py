"""What `plumbline up` started comes back by itself, and what is left of it is never in the way."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import psutil
import pytest

from serve_app.cli.processes import processes_of
from serve_app.cli.state import Instance
from tests.cli_support import Operator, fresh_operator
from tests.faults_support import Conversation, is_ready, until, until_ready

pytestmark = [pytest.mark.faults, pytest.mark.e2e]


@pytest.fixture(scope="module")
def instance() -> Iterator[Operator]:
    """One more instance, beside the graph of the other tests."""
    with fresh_operator() as operator:
        started = operator.run("up", "--detach")
        assert started.returncode == 0, started.stderr
        yield operator


def record(operator: Operator) -> Instance:
    folder = operator.environment["PLUMBLINE_DATA_DIR"]
    with open(f"{folder}/instance.json", encoding="utf-8") as file:
        return Instance.model_validate(json.load(file))


def process_of_ray(operator: Operator, name: str) -> psutil.Process:
    (found,) = [p for p in processes_of(record(operator).ray_folder) if p.name() == name]
    return found


@pytest.fixture
async def client(instance: Operator) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=instance.url, timeout=60)


async def until_told(operator: Operator, text: str) -> None:
    async def is_told() -> bool:
        facts = await asyncio.to_thread(operator.status)
        return text in (facts["phase"] or "")

    await until(is_told)


async def test_the_supervisor_starts_a_server_whose_ray_is_lost_again(
    instance: Operator, client: httpx.AsyncClient
) -> None:
    """Without its GCS, Ray answers on for a minute, and then no more."""
    await until_ready(client)
    conversation = Conversation(client)
    assert (await conversation.ask())["success"]
    before = record(instance)
    lost = [process_of_ray(instance, "gcs_server"), *processes_of(before.ray_folder)]
    lost[0].kill()
    await until_told(instance, "start")

    async def is_down() -> bool:
        return not await is_ready(client)

    await until(is_down)
    await until_ready(client)
    # All of the lost server but the supervisor, which has stayed.
    assert [p.pid for p in lost if p.is_running()] == [before.pid]
    assert record(instance) == before
    await conversation.has_lost_nothing()


async def test_a_killed_supervisor_leaves_nothing_that_holds_the_port(
    instance: Operator, client: httpx.AsyncClient
) -> None:
    await until_ready(client)
    conversation = Conversation(client)
    assert (await conversation.ask())["success"]
    before = record(instance)
    psutil.Process(before.pid).kill()

    async def are_gone() -> bool:
        return not processes_of(before.ray_folder)

    await until(are_gone)
    assert (await asyncio.to_thread(instance.status))["running"] is False
    started = await asyncio.to_thread(instance.run, "up", "--detach")
    assert started.returncode == 0, started.stderr
    await conversation.has_lost_nothing()


async def test_down_ends_what_a_killed_supervisor_left_frozen(instance: Operator) -> None:
    """The last one: nothing of the instance is left after it."""
    before = record(instance)
    family = processes_of(before.ray_folder)
    server = next(p for p in family if "serve_app.cli.server" in p.cmdline())
    # It cannot end by itself.
    server.suspend()
    psutil.Process(before.pid).kill()
    assert (await asyncio.to_thread(instance.run, "down")).returncode == 0
    assert not any(process.is_running() for process in family)
