"""Serve's controller and proxy are killed, and what they would have done meanwhile is done after."""

import httpx
import pytest

from tests.faults_support import (
    COUNT,
    Conversation,
    asked,
    is_ready,
    process_of,
    processes_of,
    replica_of,
    until,
    until_ready,
    until_replaced,
)
from tests.serve_support import Graph

pytestmark = [pytest.mark.faults, pytest.mark.postgres]


async def test_questions_are_answered_without_the_controller_and_losses_made_good(
    http: httpx.AsyncClient,
) -> None:
    await until_ready(http)
    conversation = Conversation(http)
    controller, validator = process_of("ServeController"), replica_of("SqlValidator")
    controller.kill()
    for _ in range(3):
        assert (await conversation.ask())["success"]
    validator.kill()
    # Nobody replaces it before the controller is back.
    assert await asked(http, "/api/sql/run", COUNT) in ("answered", "overloaded")
    await until_replaced(http, controller, validator)

    async def is_back() -> bool:
        return len(processes_of("ServeController")) == 1

    await until(is_back)
    await conversation.has_lost_nothing()


async def test_a_lost_proxy_comes_back_on_its_port(http: httpx.AsyncClient, graph: Graph) -> None:
    await until_ready(http)
    conversation = Conversation(http)
    await conversation.ask()
    proxy = process_of("ProxyActor")
    proxy.kill()
    # There is nobody to answer; what was answered before is kept.
    assert not await is_ready(http)
    await until_replaced(http, proxy)
    await conversation.has_lost_nothing()
