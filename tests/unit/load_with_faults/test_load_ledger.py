"""The ledger of the load run finds turns that are lost, doubled, changed or out of order."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.conversations.store import STORE_FILE, ConversationStore, store_url
from serve_app.contracts import Caller, Exchange
from tests.performance.load_with_faults.ledger import Conversation, Ledger, Stored, read_store
from tests.unit.load_with_faults.load_cases import answer_body

pytestmark = pytest.mark.unit

SQL, ANSWER = answer_body()["sql"], answer_body()["answer"]


def delivered(length: int, exchange: int | None, *warnings: str, **changes: Any) -> dict[str, Any]:
    metadata = {"context_length": length, "exchange": exchange, "warnings": list(warnings), "columns": []}
    return answer_body(metadata=metadata, **changes)


def row(position: int, question: str, conversation: str = "c1", **changes: Any) -> Stored:
    fields = {"user": "ann", "sql": SQL, "answer": ANSWER, **changes}
    return Stored(conversation_id=conversation, position=position, question=question, **fields)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def conversation(ledger: Ledger) -> Conversation:
    """Two turns that were delivered, and between them one whose answer never came."""
    talk = ledger.begin("ann")
    ledger.delivered(talk, "spend?", delivered(0, 0))
    ledger.uncertain(talk, "and labor?")
    ledger.delivered(talk, "last year?", delivered(1, 1))
    return talk


def problems(ledger: Ledger, *rows: Stored) -> str:
    return "; ".join(
        ledger.problems(rows, {name: sum(r.conversation_id == name for r in rows) for name in ids(rows)})
    )


def ids(rows: tuple[Stored, ...]) -> set[str]:
    return {stored.conversation_id for stored in rows}


@pytest.mark.usefixtures("conversation")
def test_delivered_turns_are_there_and_uncertain_ones_may_be(ledger: Ledger) -> None:
    kept = [row(0, "spend?"), row(1, "last year?")]
    assert problems(ledger, *kept) == ""
    assert problems(ledger, *kept, row(2, "and labor?")) == ""


@pytest.mark.usefixtures("conversation")
@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([row(0, "spend?")], "'last year?' is not in the store"),
        ([], "'spend?' is not in the store"),
        ([row(0, "last year?"), row(1, "spend?")], "at 0 is 'last year?', not 'spend?'"),
        ([row(0, "spend?"), row(1, "last year?", sql="SELECT 1")], "at 1 is"),
        ([row(0, "spend?"), row(1, "last year?"), row(2, "last year?")], "'last year?' is there too often"),
        ([row(0, "spend?"), row(1, "last year?"), row(2, "and labor?"), row(3, "and labor?")], "too often"),
        ([row(0, "spend?"), row(1, "last year?"), row(3, "and labor?")], "positions [0, 1, 3]"),
        ([row(0, "spend?"), row(1, "last year?"), row(0, "hello?", "c2")], "nobody asked 'hello?'"),
    ],
)
def test_what_is_wrong_in_the_store_is_found(ledger: Ledger, rows: list[Stored], problem: str) -> None:
    assert problem in problems(ledger, *rows)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (delivered(0, 2), "0 turns before 'more?'"),
        (delivered(4, 2), "4 turns before 'more?'"),
        (delivered(2, None), "was not kept, and nothing said so"),
        (delivered(2, 2, conversation_id="c9"), "answered as c9"),
    ],
)
def test_what_an_answer_says_of_its_conversation_is_compared(
    ledger: Ledger, conversation: Conversation, body: dict[str, Any], problem: str
) -> None:
    ledger.delivered(conversation, "more?", body)
    assert problem in "; ".join(ledger.lost)


def test_a_turn_that_could_not_be_saved_says_so_and_need_not_be_there(
    ledger: Ledger, conversation: Conversation
) -> None:
    ledger.delivered(conversation, "more?", delivered(2, None, "This exchange could not be saved; ..."))
    assert problems(ledger, row(0, "spend?"), row(1, "last year?")) == ""


def test_two_answers_at_one_position_are_found(ledger: Ledger, conversation: Conversation) -> None:
    ledger.delivered(conversation, "more?", delivered(2, 1))
    assert "kept at positions [0, 1, 1]" in problems(ledger, row(0, "spend?"), row(1, "last year?"))


def test_a_first_turn_without_an_answer_may_be_a_conversation_that_nobody_knows(ledger: Ledger) -> None:
    ledger.uncertain(ledger.begin("ann"), "spend?")
    assert problems(ledger, row(0, "spend?", "c5")) == ""
    assert "nobody asked" in problems(ledger, row(0, "spend?", "c5"), row(0, "spend?", "c6"))
    assert "nobody asked" in problems(ledger, row(0, "spend?", "c5", user="bob"))


def test_a_cleared_conversation_is_empty(ledger: Ledger, conversation: Conversation) -> None:
    rows = [row(0, "spend?"), row(1, "last year?")]
    conversation.cleared = None
    assert problems(ledger) == problems(ledger, *rows) == ""
    conversation.cleared = True
    assert problems(ledger) == ""
    assert "2 turns after it was cleared" in problems(ledger, *rows)


async def test_the_store_is_read_as_it_is_written(ledger: Ledger, tmp_path: Path) -> None:
    store = ConversationStore(store_url(None, tmp_path))
    at = datetime(2026, 5, 1, tzinfo=UTC)
    for question in ("spend?", "last year?"):
        exchange = Exchange(question=question, sql=SQL, answer=ANSWER, at=at)
        await store.append("c1", Caller(user_id="ann"), exchange)
    await store.close()
    rows, counts = read_store(tmp_path / STORE_FILE)
    assert (rows, counts) == ([row(0, "spend?"), row(1, "last year?")], {"c1": 2})
