"""The conversation store on a full, read-only or damaged disk, and on a PostgreSQL that goes away.

Whoever was told that a turn is kept finds it afterwards, exactly once; nothing else is promised.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from fakes import make_question, make_stages

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.conversations import ConversationMemory
from deployments.executor.embedded import EmbeddedDatabase
from serve_app.contracts import Caller, Exchange
from serve_app.errors import StoreUnavailable
from serve_app.pipeline import PipelineLimits, answer
from serve_app.trace import Trace
from tests.relay import relay_to
from tests.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.faults

ANN = Caller(user_id="ann")
NOW = datetime(2026, 3, 31, tzinfo=UTC)
CONFIG = ConversationsConfig(store_timeout_s=1.0)
HANG_S = 30.0


def turn(text: str) -> Exchange:
    return Exchange(question=text, answer="x" * 2000, at=NOW)


async def kept(memory: ConversationMemory, conversation_id: str = "c") -> list[str]:
    question = make_question(conversation_id=conversation_id)
    context = await memory.context(question, 10_000)
    assert context.total_exchanges == len(context.exchanges)
    return [exchange.question for exchange in context.exchanges]


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk() as made:
        yield made


@pytest.fixture
async def memory(disk: SmallDisk) -> AsyncIterator[ConversationMemory]:
    made = ConversationMemory(f"sqlite:///{disk.folder}/store.sqlite", CONFIG)
    yield made
    await made.close()


async def test_a_full_disk_costs_the_record_and_not_the_answer(
    disk: SmallDisk, memory: ConversationMemory
) -> None:
    await memory.remember("c", ANN, turn("before"))
    disk.fill()
    trace = Trace(make_question(conversation_id="c"))
    answered = await answer(trace.question, make_stages(conversations=memory), PipelineLimits(), trace)
    assert answered.result is not None
    assert [w for w in trace.warnings if "could not be saved" in w]
    assert await kept(memory) == ["before"]
    health = await memory.health()
    assert health.ok, "answers are given"
    assert "disk is full" in health.detail
    disk.clear()
    await memory.remember("c", ANN, turn("after"))
    assert await kept(memory) == ["before", "after"]
    assert (await memory.health()).detail == "The conversation store answers."
    await memory.close()
    with sqlite3.connect(disk.folder / "store.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_no_turn_that_was_kept_is_lost_while_the_disk_fills_up_and_empties(
    disk: SmallDisk, memory: ConversationMemory
) -> None:
    told: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    refused = 0

    async def talk(conversation_id: str) -> None:
        nonlocal refused
        for number in range(60):
            try:
                position = await memory.remember(conversation_id, ANN, turn(f"{conversation_id}{number}"))
            except StoreUnavailable:
                refused += 1
            else:
                assert position == len(told[conversation_id])
                told[conversation_id].append(f"{conversation_id}{number}")
            if number % 15 == 5:
                disk.fill()
            if number % 15 == 12:
                disk.clear()

    async with asyncio.timeout(4 * HANG_S):
        await asyncio.gather(*(talk(conversation_id) for conversation_id in told))
    assert refused
    reopened = ConversationMemory(f"sqlite:///{disk.folder}/store.sqlite", CONFIG)
    for conversation_id, expected in told.items():
        assert expected
        assert await kept(reopened, conversation_id) == expected
    await reopened.close()


async def test_a_store_that_is_created_on_a_full_disk_works_when_there_is_space(
    disk: SmallDisk, memory: ConversationMemory
) -> None:
    disk.fill()
    with pytest.raises(StoreUnavailable):
        await memory.remember("c", ANN, turn("too early"))
    disk.clear()
    await memory.remember("c", ANN, turn("in time"))
    assert await kept(memory) == ["in time"]


@pytest.mark.parametrize("fault", ["full", "read-only"])
async def test_a_store_that_is_opened_on_such_a_disk_is_told_and_works_when_that_is_over(
    disk: SmallDisk, memory: ConversationMemory, fault: str
) -> None:
    await memory.remember("c", ANN, turn("before"))
    await memory.close()
    if fault == "full":
        disk.fill()
    else:
        disk.read_only(True)
    reopened = ConversationMemory(f"sqlite:///{disk.folder}/store.sqlite", CONFIG)
    with pytest.raises(StoreUnavailable):
        await reopened.remember("c", ANN, turn("meanwhile"))
    trace = Trace(make_question())
    assert await answer(trace.question, make_stages(conversations=reopened), PipelineLimits(), trace)
    assert [w for w in trace.warnings if "could not be saved" in w]
    if fault == "full":
        disk.clear()
    else:
        disk.read_only(False)
    await reopened.remember("c", ANN, turn("after"))
    assert await kept(reopened) == ["before", "after"]
    await reopened.close()


def damaged_in_the_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    # The second page on: the header is whole, and what it leads to is not.
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)


def damaged_at_the_beginning(file: Path) -> None:
    file.write_bytes(b"\xa5" * 4096 + file.read_bytes()[4096:])


@pytest.mark.parametrize("damage", [damaged_at_the_beginning, damaged_in_the_middle])
async def test_a_damaged_store_is_told_and_left_as_it_is(tmp_path: Path, damage: object) -> None:
    file = tmp_path / "store.sqlite"
    memory = ConversationMemory(f"sqlite:///{file}", CONFIG)
    for number in range(20):
        await memory.remember("c", ANN, turn(str(number)))
    await memory.close()
    assert callable(damage)
    damage(file)
    content = file.read_bytes()
    memory = ConversationMemory(f"sqlite:///{file}", CONFIG)
    for call in (memory.remember("c", ANN, turn("new")), kept(memory)):
        with pytest.raises(StoreUnavailable) as refusal:
            await call
        assert "damaged" in refusal.value.message
        assert str(file) not in refusal.value.message
    health = await memory.health()
    assert not health.ok
    assert "damaged" in health.detail
    # A question that begins a conversation is answered all the same.
    trace = Trace(make_question())
    assert await answer(trace.question, make_stages(conversations=memory), PipelineLimits(), trace)
    assert trace.warnings
    await memory.close()
    assert file.read_bytes() == content
    file.unlink()
    await memory.remember("c", ANN, turn("anew"))
    assert await kept(memory) == ["anew"]
    await memory.close()


@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_a_postgresql_store_that_goes_away_is_used_again_when_it_is_back(
    sample_database: EmbeddedDatabase, fault: str
) -> None:
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute("CREATE DATABASE faulty_store")
    direct = sample_database.admin_dsn.replace("/plumbline", "/faulty_store")
    told: list[str] = []
    refusals: list[tuple[int, str]] = []
    async with relay_to(sample_database.port) as relay, asyncio.timeout(4 * HANG_S):
        memory = ConversationMemory(relay.dsn(direct), CONFIG)
        for number in itertools.count():
            if number == 5:
                relay.silent = fault == "silent"
                relay.refusing = fault == "cut"
                if relay.refusing:
                    relay.reset()
            if number == 8:
                relay.silent = relay.refusing = False
            try:
                await memory.remember("c", ANN, turn(str(number)))
                told.append(str(number))
            except StoreUnavailable as error:
                refusals.append((number, error.message))
            if number > 8 and len(told) >= 10:
                break
        assert refusals
        assert all(5 <= number < 9 and "postgres" not in message for number, message in refusals)
        assert (await memory.health()).ok
        found = await kept(memory)
        # A commit whose confirmation never came may have happened: told as not kept, and no promise broken.
        assert [text for text in found if text in told] == told
        assert len(set(found)) == len(found)
        await memory.close()
    await admin.execute("DROP DATABASE faulty_store WITH (FORCE)")
    await admin.close()
