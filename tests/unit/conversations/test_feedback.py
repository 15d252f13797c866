"""Feedback in the store: replaced while undecided, decided by an operator, read as verified examples."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deployments.conversations.conversations import ConversationMemory
from deployments.conversations.feedback import Decision
from deployments.executor.embedded import EmbeddedDatabase
from serve_app.contracts import Caller, Exchange, Feedback
from serve_app.errors import ConversationNotFound, InvalidRequest, StoreUnavailable

ANN = Caller(user_id="ann", organization_id="north")
NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ConversationMemory]:
    if request.param == "sqlite":
        store = ConversationMemory(f"sqlite:///{tmp_path}/store.db")
        yield store
        await store.close()
        return
    database: EmbeddedDatabase = request.getfixturevalue("sample_database")
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute("CREATE DATABASE feedback_store")
    store = ConversationMemory(database.admin_dsn.replace("/plumbline", "/feedback_store"))
    yield store
    await store.close()
    await admin.execute("DROP DATABASE feedback_store WITH (FORCE)")
    await admin.close()


def make_feedback(feedback_id: str = "f-1", **fields: Any) -> Feedback:
    values = {
        "conversation_id": "c",
        "position": 0,
        "caller": ANN,
        "verdict": "up",
        "question": "Permit fees? 🏗 '; DROP TABLE feedback; --",
        "sql": "SELECT 1 LIMIT 10001",
        "row_cap": 10001,
        "query_spec": "{}",
        "comment": "right",
        "asked_on": date(2026, 3, 30),
        "given_at": NOW,
        "status": "pending",
        **fields,
    }
    return Feedback(id=feedback_id, **values)


def decision(accept: bool = True, **fields: Any) -> Decision:
    return Decision(accept, "ops", NOW + timedelta(hours=1), **fields)


async def test_every_field_comes_back(memory: ConversationMemory) -> None:
    kept = make_feedback(verdict="down", position=3, status="noted", sql=None, row_cap=None)
    await memory.give_feedback(kept)
    assert await memory.list_feedback() == (kept,)
    assert await memory.verified() == ()


async def test_an_accepted_pair_is_a_verified_example(memory: ConversationMemory) -> None:
    await memory.give_feedback(make_feedback())
    assert await memory.verified() == ()
    decided = await memory.decide_feedback("f-1", decision())
    assert decided is not None
    assert (decided.status, decided.decided_by) == ("accepted", "ops")
    (example,) = await memory.verified()
    assert (example.sql, example.row_cap, example.query_spec) == ("SELECT 1 LIMIT 10001", 10001, "{}")
    assert (example.organization_id, example.asked_on) == ("north", date(2026, 3, 30))
    await memory.decide_feedback("f-1", decision(accept=False))
    assert await memory.verified() == ()


async def test_the_newest_decision_comes_first(memory: ConversationMemory) -> None:
    for number in range(3):
        await memory.give_feedback(make_feedback(f"f-{number}", position=0, conversation_id=f"c{number}"))
    for hours, number in enumerate((1, 0, 2)):
        await memory.decide_feedback(f"f-{number}", Decision(True, "ops", NOW + timedelta(hours=hours)))
    assert [example.id for example in await memory.verified()] == ["f-2", "f-0", "f-1"]


async def test_a_second_word_replaces_the_first_until_it_is_decided(memory: ConversationMemory) -> None:
    await memory.give_feedback(make_feedback("first"))
    await memory.give_feedback(make_feedback("second", verdict="down", sql=None, status="noted"))
    assert [f.id for f in await memory.list_feedback()] == ["second"]
    await memory.give_feedback(make_feedback("third"))
    await memory.decide_feedback("third", decision())
    await memory.give_feedback(make_feedback("fourth", given_at=NOW + timedelta(hours=2)))
    assert [f.id for f in await memory.list_feedback()] == ["third", "fourth"]
    assert [f.id for f in await memory.list_feedback("pending")] == ["fourth"]


async def test_a_follow_up_needs_a_wording_of_its_own(memory: ConversationMemory) -> None:
    await memory.give_feedback(make_feedback(position=1))
    with pytest.raises(InvalidRequest, match="--question"):
        await memory.decide_feedback("f-1", decision())
    assert (await memory.list_feedback())[0].status == "pending"
    await memory.decide_feedback("f-1", decision(question="Permit fees in 2025", for_everyone=True))
    (example,) = await memory.verified()
    assert (example.question, example.query_spec) == ("Permit fees in 2025", None)
    assert example.organization_id is None


async def test_what_holds_no_pair_cannot_be_accepted(memory: ConversationMemory) -> None:
    await memory.give_feedback(make_feedback(sql=None, status="noted"))
    with pytest.raises(InvalidRequest, match="no statement"):
        await memory.decide_feedback("f-1", decision())
    assert await memory.decide_feedback("nobody", decision()) is None


async def test_feedback_outlives_the_conversation(memory: ConversationMemory) -> None:
    assert await memory.remember("c", ANN, Exchange(question="q", at=NOW)) == 0
    await memory.give_feedback(make_feedback())
    await memory.clear("c", ANN)
    assert len(await memory.list_feedback()) == 1


async def test_exchanges_are_found_by_their_place_and_only_by_their_owner(memory: ConversationMemory) -> None:
    for number in range(3):
        exchange = Exchange(question=f"q{number}", sql=f"SELECT {number}", at=NOW)
        assert await memory.remember("c", ANN, exchange) == number
    first, last = await memory.exchange("c", ANN, 0), await memory.exchange("c", ANN, None)
    assert first is not None
    assert last is not None
    assert (first.exchange.question, first.position) == ("q0", 0)
    assert (last.exchange.sql, last.position) == ("SELECT 2", 2)
    assert await memory.exchange("c", ANN, 3) is None
    for stranger in (Caller(user_id="ann"), Caller(user_id="bob", organization_id="north")):
        with pytest.raises(ConversationNotFound):
            await memory.exchange("c", stranger, 0)
    await memory.clear("c", ANN)
    assert await memory.exchange("c", ANN, None) is None


async def test_a_store_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    memory = ConversationMemory(f"sqlite:///{blocked}/store.db")
    with pytest.raises(StoreUnavailable):
        await memory.give_feedback(make_feedback())
    with pytest.raises(StoreUnavailable):
        await memory.verified()
