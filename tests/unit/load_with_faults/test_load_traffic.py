"""What the clients of the load run notice of a server that answers wrongly."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
import pytest

from serve_app.errors import Overloaded, ValidationFailed
from serve_app.evaluation.scoring import normalised
from tests.performance.load_with_faults.calm import _attacks
from tests.performance.load_with_faults.client import Client
from tests.performance.load_with_faults.expected import Expected, Gold
from tests.performance.load_with_faults.ledger import Ledger
from tests.performance.load_with_faults.record import Record
from tests.performance.load_with_faults.traffic import BURST_SIZE, Material, Visitor
from tests.unit.load_with_faults.load_cases import COLUMNS, answer_body, failure_body

pytestmark = pytest.mark.unit

URL = "http://server"
GOLD = Gold("SELECT 12.5", normalised(1, [(12.5,)]))
CALM = answer_body()
TURNS = [Expected(q, (GOLD,), False, CALM["sql"], CALM["data"]) for q in ("spend?", "and labor?")]
MATERIAL = Material(TURNS[:1], [TURNS], {"SELECT 1": answer_body()["data"]}, ["DROP TABLE projects"], [])


@dataclass
class Load:
    """A visitor of a server that answers as told."""

    visitor: Visitor
    record: Record
    ledger: Ledger


def visit(answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> Load:
    """``answer``: status and body for a request's body."""
    record, ledger = Record(60.0), Ledger()

    def respond(request: httpx.Request) -> httpx.Response:
        status, body = answer(json.loads(request.content))
        headers = {"x-request-id": request.headers["x-request-id"]}
        if status == 503:
            headers["retry-after"] = "0"
        if request.url.path.endswith("/stream"):
            rows = {"data": body["data"], "metadata": {}}
            events = [("rows", rows)] * (body["data"] is not None) + [
                ("done" if body["success"] else "error", body)
            ]
            text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
            return httpx.Response(200, text=text, headers=headers | {"content-type": "text/event-stream"})
        return httpx.Response(status, json=body, headers=headers)

    client = Client(URL, "ann", record, httpx.MockTransport(respond))
    return Load(Visitor(client, URL, MATERIAL, ledger, Random(1)), record, ledger)


def conversation_body(length: int, **changes: Any) -> dict[str, Any]:
    metadata = {"context_length": length, "exchange": length, "warnings": [], "columns": COLUMNS}
    return answer_body(metadata=metadata, **changes)


def place_of(request: dict[str, Any]) -> int:
    return [turn.question for turn in TURNS].index(request["query"])


async def test_right_answers_are_compared_and_nothing_is_said() -> None:
    load = visit(lambda request: (200, conversation_body(place_of(request))))
    for _ in range(5):
        await load.visitor.question()
        await load.visitor.conversation()
    assert load.record.compared >= 10
    assert (load.record.wrong, load.record.undocumented, load.ledger.lost) == ([], [], [])
    assert load.record.verdict().failures == []


@pytest.mark.parametrize(
    "body",
    [
        answer_body(12.51),
        answer_body(data=None, answer="I am not sure."),
        answer_body(data=None, answer=None, clarification="Which year?"),
        answer_body(data=answer_body()["data"] | {"rows": [], "row_count": 0}),
    ],
)
async def test_another_answer_than_the_right_one_is_wrong(body: dict[str, Any]) -> None:
    load = visit(lambda _: (200, body))
    await load.visitor.question()
    assert [wrong["asked"] for wrong in load.record.wrong] == ["spend?"]


async def test_the_right_rows_in_another_form_are_counted_and_not_wrong() -> None:
    columns = [COLUMNS[0] | {"name": "spent"}]
    data = answer_body()["data"] | {"rows": [{"spent": 12.5}], "columns": ["spent"]}
    metadata = answer_body()["metadata"] | {"columns": columns}
    body = answer_body(sql="SELECT 12.5 AS spent", data=data, metadata=metadata)
    load = visit(lambda _: (200, body))
    await load.visitor.question()
    assert (load.record.wrong, load.record.other_forms) == ([], 1)


async def test_an_attack_that_is_answered_is_wrong_and_a_refused_one_is_not() -> None:
    load = visit(lambda _: (200, answer_body()))
    await load.visitor.attack()
    assert [wrong["asked"] for wrong in load.record.wrong] == ["DROP TABLE projects"]
    load = visit(lambda _: (422, failure_body(ValidationFailed(rule="statement"))))
    await load.visitor.attack()
    assert (load.record.wrong, load.record.verdict().failures) == ([], [])


async def test_a_statement_with_other_rows_is_wrong() -> None:
    load = visit(lambda _: (200, answer_body(13)))
    await load.visitor.statement()
    assert [wrong["asked"] for wrong in load.record.wrong] == ["SELECT 1"]


async def test_a_verdict_that_contradicts_the_corpus_is_wrong() -> None:
    verdict = {"accepted": True, "sql": "SELECT 1", "tables": [], "row_cap": 1, "violations": []}
    load = visit(lambda request: (200, verdict | {"accepted": request["sql"] != "SELECT 1"}))
    for _ in range(8):
        await load.visitor.verdict()
    assert {wrong["asked"] for wrong in load.record.wrong} == {"SELECT 1", "DROP TABLE projects"}


async def test_a_turn_that_the_next_one_does_not_know_is_lost() -> None:
    load = visit(lambda request: (200, conversation_body(0)))
    while not load.record.not_comparable:
        await load.visitor.conversation()
    assert "0 turns before 'and labor?', not 1 to 1" in load.ledger.lost[0]


async def test_a_turn_that_is_refused_is_asked_again_and_may_be_there_once() -> None:
    refusals = iter([False, True, True])
    refused = failure_body(Overloaded(retry_after_s=0.0))

    def answer(request: dict[str, Any]) -> tuple[int, Any]:
        if next(refusals, False):
            return 503, refused
        return 200, conversation_body(place_of(request))

    load = visit(answer)
    await load.visitor.conversation()
    (conversation,) = load.ledger.conversations
    assert [turn.question for turn in conversation.kept] == ["spend?", "and labor?"]
    assert conversation.maybe == ["and labor?"] * 2
    assert (load.record.compared, load.ledger.lost) == (2, [])


async def test_a_burst_is_more_than_is_admitted_and_explains_overload() -> None:
    load = visit(lambda _: (503, failure_body(Overloaded(retry_after_s=0.0))))
    await load.visitor.burst()
    assert load.record.verdict().in_bursts == {"overloaded": BURST_SIZE}


def test_attacks_are_those_that_the_validator_rejects_however_the_api_reads_them() -> None:
    attacks, heavy = _attacks()
    assert len(attacks) > 600
    assert heavy
    assert not set(heavy) & set(attacks)
    assert "SELECT id\x1aFROM projects" not in attacks
