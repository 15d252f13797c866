"""Conversations on SQLite and on PostgreSQL: order, ownership, forgetting, and a store that fails."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import event

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.conversations import ConversationMemory
from deployments.conversations.store import ConversationStore, parse_url, title_of
from deployments.executor.embedded import EmbeddedDatabase
from serve_app.contracts import Caller, Exchange, Question
from serve_app.errors import ConfigurationError, ConversationNotFound, StoreUnavailable

ANN = Caller(user_id="ann", organization_id="north")
STRANGERS = [
    Caller(user_id="bob", organization_id="north"),
    Caller(user_id="ann", organization_id="south"),
    Caller(user_id="ann"),
]
NOW = datetime(2026, 3, 31, 12, 0, 0, 123456, tzinfo=UTC)


def make_question(conversation_id: str | None = None, caller: Caller = ANN) -> Question:
    return Question(
        text="How much?", caller=caller, request_id="r", conversation_id=conversation_id, asked_at=NOW
    )


def make_exchange(text: str = "How much was spent?") -> Exchange:
    return Exchange(question=text, at=NOW)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/made/when/needed/store.db"
        return
    database: EmbeddedDatabase = request.getfixturevalue("sample_database")
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute("CREATE DATABASE conversation_store")
    yield database.admin_dsn.replace("/plumbline", "/conversation_store")
    await admin.execute("DROP DATABASE conversation_store WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def memory(url: str) -> AsyncIterator[ConversationMemory]:
    memory = ConversationMemory(url)
    yield memory
    await memory.close()


async def test_every_field_comes_back_after_a_restart(url: str, memory: ConversationMemory) -> None:
    exchange = Exchange(
        question="How much was spent on permits? 🏗 '; DROP TABLE exchanges; --",
        sql="SELECT sum(amount) FROM expenses",
        query_spec="expenses | sum amount",
        answer="$1,234.56",
        kind="clarification",
        row_count=0,
        at=datetime(2026, 3, 31, 12, 0, tzinfo=timezone(timedelta(hours=-6))),
    )
    context = await memory.context(make_question(), 5)
    assert (context.exchanges, context.total_exchanges) == ((), 0)
    await memory.remember(context.conversation_id, ANN, exchange)
    await memory.close()
    again = ConversationMemory(url)
    found = await again.context(make_question(context.conversation_id), 5)
    await again.close()
    assert found.exchanges == (exchange,)
    assert found.exchanges[0].at.utcoffset() == timedelta(0)
    assert (found.conversation_id, found.total_exchanges) == (context.conversation_id, 1)


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, []), (3, ["q4", "q5", "q6"]), (99, [f"q{n}" for n in range(7)])]
)
async def test_the_last_exchanges_oldest_first(
    memory: ConversationMemory, limit: int, expected: list[str]
) -> None:
    for number in range(7):
        await memory.remember("c", ANN, make_exchange(f"q{number}"))
    context = await memory.context(make_question("c"), limit)
    assert [exchange.question for exchange in context.exchanges] == expected
    assert context.total_exchanges == 7


async def test_new_conversations_have_ids_of_their_own(memory: ConversationMemory) -> None:
    ids = {(await memory.context(make_question(), 5)).conversation_id for _ in range(100)}
    assert len(ids) == 100


async def test_an_unknown_conversation(memory: ConversationMemory) -> None:
    with pytest.raises(ConversationNotFound):
        await memory.context(make_question("never-was"), 5)
    with pytest.raises(ConversationNotFound):
        await memory.clear("never-was", ANN)


@pytest.mark.parametrize("stranger", STRANGERS, ids=str)
async def test_a_conversation_is_its_owners_alone(memory: ConversationMemory, stranger: Caller) -> None:
    await memory.remember("c", ANN, make_exchange())
    with pytest.raises(ConversationNotFound):
        await memory.context(make_question("c", stranger), 5)
    with pytest.raises(ConversationNotFound):
        await memory.remember("c", stranger, make_exchange("intruder"))
    with pytest.raises(ConversationNotFound):
        await memory.clear("c", stranger)
    assert (await memory.context(make_question("c"), 5)).exchanges == (make_exchange(),)


async def test_a_caller_without_organization_owns_conversations_too(memory: ConversationMemory) -> None:
    await memory.remember("c", STRANGERS[2], make_exchange())
    assert (await memory.context(make_question("c", STRANGERS[2]), 5)).total_exchanges == 1


async def test_cleared_conversations_begin_anew_and_others_stay(memory: ConversationMemory) -> None:
    for name in ("c", "other"):
        await memory.remember(name, ANN, make_exchange())
    await memory.clear("c", ANN)
    assert (await memory.context(make_question("c"), 5)).total_exchanges == 0
    await memory.remember("c", ANN, make_exchange("anew"))
    assert [e.question for e in (await memory.context(make_question("c"), 5)).exchanges] == ["anew"]
    assert (await memory.context(make_question("other"), 5)).total_exchanges == 1


async def test_concurrent_writers_of_several_processes_lose_nothing(url: str) -> None:
    """Separate engines stand for the processes; all of them create the tables at the same time, too."""
    config = ConversationsConfig(store_timeout_s=30.0)
    memories = [ConversationMemory(url, config) for _ in range(4)]
    texts = [f"q{number}" for number in range(40)]
    await asyncio.gather(
        *(memories[n % 4].remember("c", ANN, make_exchange(text)) for n, text in enumerate(texts))
    )
    store = ConversationStore(url, config)
    exchanges, total = await store.last("c", ANN, 100)
    for closing in (*memories, store):
        await closing.close()
    assert total == len(exchanges) == 40
    assert {exchange.question for exchange in exchanges} == set(texts)


async def test_a_repeated_call_stores_its_exchange_once(url: str) -> None:
    """Whoever lost the reply asks again, while the first call may still be writing elsewhere."""
    config = ConversationsConfig(store_timeout_s=30.0)
    one, other = (ConversationMemory(url, config) for _ in range(2))
    keys = [f"key{number}" for number in range(10)]
    calls = [m.remember("c", ANN, make_exchange(key), key) for key in keys for m in (one, other)]
    positions = await asyncio.gather(*calls)
    assert positions[::2] == positions[1::2]
    assert sorted(positions[::2]) == list(range(10))
    # Without a key, and with another one, the same words are another exchange.
    for key in (None, None, "key10"):
        await one.remember("c", ANN, make_exchange("key9"), key)
    context = await one.context(make_question("c"), 20)
    assert [e.question for e in context.exchanges[10:]] == ["key9"] * 3
    assert context.total_exchanges == len(context.exchanges) == 13
    for closing in (one, other):
        await closing.close()


async def test_one_writers_exchanges_stay_in_order_among_others(memory: ConversationMemory) -> None:
    async def write(name: str) -> None:
        for number in range(10):
            await memory.remember("c", ANN, make_exchange(f"{name}{number}"))

    await asyncio.gather(write("a"), write("b"), write("c"))
    exchanges = (await memory.context(make_question("c"), 100)).exchanges
    for name in "abc":
        own = [exchange.question for exchange in exchanges if exchange.question.startswith(name)]
        assert own == [f"{name}{number}" for number in range(10)]


async def test_a_cancelled_writer_leaves_all_or_nothing(memory: ConversationMemory) -> None:
    await memory.remember("c", ANN, make_exchange("first"))
    for steps in range(12):
        writing = asyncio.create_task(memory.remember("c", ANN, make_exchange(f"cancelled {steps}")))
        for _ in range(steps):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    context = await memory.context(make_question("c"), 100)
    assert len(context.exchanges) == context.total_exchanges


@pytest.mark.parametrize("text", ["nul \x00 inside", "half \ud800 pair", " ", "x" * 100_000])
async def test_any_question_can_be_remembered(memory: ConversationMemory, text: str) -> None:
    await memory.remember("c", ANN, make_exchange(text))
    assert (await memory.context(make_question("c"), 1)).total_exchanges == 1


async def test_health(memory: ConversationMemory) -> None:
    assert (await memory.health()).ok


@pytest.mark.parametrize("where", ["postgresql://user:secret@127.0.0.1:1/none", "sqlite:////proc/no/such.db"])
async def test_a_store_that_is_down(where: str) -> None:
    memory = ConversationMemory(where)
    health = await memory.health()
    assert not health.ok
    assert "secret" not in health.detail
    assert (await memory.context(make_question(), 5)).conversation_id
    for call in (
        memory.remember("c", ANN, make_exchange()),
        memory.context(make_question("c"), 5),
        memory.clear("c", ANN),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            await call
        assert "secret" not in f"{caught.value.message} {caught.value.detail}"
    await memory.close()


async def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    memory = ConversationMemory(f"sqlite:///{tmp_path}/store.db")
    await memory.remember("c", ANN, make_exchange("kept"))
    await memory.close()
    memory = ConversationMemory(f"sqlite:///{tmp_path}/store.db")
    await fill(memory)
    with pytest.raises(StoreUnavailable) as caught:
        await memory.remember("c", ANN, make_exchange("x" * 200_000))
    assert "full" in str(caught.value.detail)
    assert (await memory.context(make_question("c"), 5)).exchanges == (make_exchange("kept"),)
    await memory.close()


async def fill(memory: ConversationMemory) -> None:
    """Let no connection grow the file: SQLite answers it like a full disk, with SQLITE_FULL."""
    await memory.health()
    engine = memory._store._engine
    assert engine is not None
    await engine.dispose()
    event.listen(engine.sync_engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count = 1").close())


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(os.urandom(8192))
    memory = ConversationMemory(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(StoreUnavailable):
        await memory.remember("c", ANN, make_exchange())
    await memory.close()


async def test_a_store_that_comes_back_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    memory = ConversationMemory(f"sqlite:///{tmp_path}/folder/store.db")
    with pytest.raises(StoreUnavailable):
        await memory.remember("c", ANN, make_exchange())
    (tmp_path / "folder").unlink()
    await memory.remember("c", ANN, make_exchange())
    assert (await memory.health()).ok
    await memory.close()


async def test_a_lock_held_too_long_is_told(tmp_path: Path) -> None:
    memory = ConversationMemory(f"sqlite:///{tmp_path}/store.db", ConversationsConfig(store_timeout_s=0.3))
    await memory.remember("c", ANN, make_exchange())
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await memory.remember("c", ANN, make_exchange())
    assert (await memory.context(make_question("c"), 5)).total_exchanges == 1
    holder.execute("ROLLBACK")
    holder.close()
    await memory.remember("c", ANN, make_exchange())
    await memory.close()


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite"),
        ("postgres://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+asyncpg"),
    ],
)
def test_urls(given: str, driver: str) -> None:
    assert parse_url(given).drivername == driver


@pytest.mark.parametrize(
    "given", ["", "nonsense", "mysql://u:secret@h/d", "sqlite://", "postgresql://h:port/d"]
)
def test_urls_that_cannot_be_read(given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(given)
    assert "secret" not in caught.value.message


def test_titles() -> None:
    assert title_of("  How   much\nwas spent? ", 80) == "How much was spent?"
    assert title_of("word " * 50, 20) == "word word word word…"
