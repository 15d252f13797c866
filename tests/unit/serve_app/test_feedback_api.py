"""POST /api/feedback over fakes: what is kept, what is refused, and in which shape."""

from typing import Any

import httpx
import pytest
from fakes import (
    FakeConversations,
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    make_generation,
    make_stages,
    rejected,
    valid,
)
from test_http_app import ASK, client_of, error_of, make_service

from serve_app.contracts import CannotAnswer, SqlCandidate
from serve_app.errors import ExecutionFailed, StoreUnavailable
from serve_app.service import ChatService
from serve_app.settings.tree import FeatureSettings, FeedbackSettings

GIVE = {"conversation_id": "c1", "user_id": "ann"}


class Bench:
    """A service over fakes with one answered question."""

    def __init__(self, executor: FakeExecutor | None = None, **config: Any) -> None:
        self.conversations = FakeConversations()
        self.executor = executor or FakeExecutor()
        self.refused: set[str] = set()
        validator = FakeValidator(lambda sql: rejected() if sql in self.refused else valid(sql))
        builder = FakePromptBuilder(interpret_with=lambda sql: SqlCandidate(sql=sql, query_spec="{}"))
        self.service: ChatService = make_service(
            make_stages(
                conversations=self.conversations,
                prompt_builder=builder,
                generator=FakeGenerator(make_generation("SELECT 7")),
                validator=validator,
                executor=self.executor,
            ),
            **config,
        )

    async def give(self, ask_first: int = 1, **fields: Any) -> httpx.Response:
        async with client_of(self.service) as http:
            for number in range(ask_first):
                more = {"conversation_id": "c1"} if number else {}
                answered = (await http.post("/api/chat", json={**ASK, **more})).json()
                assert answered["metadata"]["exchange"] == number
            return await http.post("/api/feedback", json={**GIVE, **fields})


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_right_answer_becomes_a_pair_that_waits(bench: Bench) -> None:
    response = await bench.give(verdict="up", exchange=0, comment="yes")
    assert response.status_code == 200
    (kept,) = bench.conversations.feedback
    assert response.json() == {
        "success": True,
        "feedback_id": kept.id,
        "status": "pending",
        "sql": "SELECT 7",
    }
    assert (kept.question, kept.sql, kept.query_spec) == (ASK["query"], "SELECT 7", "{}")
    assert (kept.position, kept.caller.user_id, kept.row_cap, kept.comment) == (0, "ann", 100, "yes")
    assert len(bench.executor.asked) == 1, "the answer itself; it need not run again"


async def test_a_wrong_answer_is_noted(bench: Bench) -> None:
    response = await bench.give(verdict="down")
    assert response.json()["status"] == "noted"
    assert bench.conversations.feedback[0].sql is None


async def test_a_correction_is_checked_and_run_before_it_is_kept(bench: Bench) -> None:
    response = await bench.give(verdict="down", sql="SELECT 8")
    assert response.json()["status"] == "pending"
    assert [request.statement.sql for request in bench.executor.asked] == ["SELECT 7", "SELECT 8"]
    (kept,) = bench.conversations.feedback
    assert (kept.sql, kept.query_spec, kept.verdict) == ("SELECT 8", None, "down")


async def test_a_correction_that_may_not_run_is_refused(bench: Bench) -> None:
    bench.refused.add("DROP TABLE t")
    response = await bench.give(verdict="down", sql="DROP TABLE t")
    assert response.status_code == 422
    assert error_of(response)["type"] == "validation_failed"
    assert error_of(response)["rule"] == "unknown_column"
    assert bench.conversations.feedback == []


async def test_a_correction_that_fails_is_refused() -> None:
    failing = FakeExecutor(
        lambda sql: ExecutionFailed() if sql == "SELECT 1/0" else FakeExecutor()._result_of(sql)
    )
    bench = Bench(failing)
    response = await bench.give(verdict="down", sql="SELECT 1/0")
    assert error_of(response)["type"] == "execution_failed"
    assert bench.conversations.feedback == []


async def test_an_answer_that_is_no_longer_allowed_is_no_pair(bench: Bench) -> None:
    await bench.give(verdict="down")
    bench.refused.add("SELECT 7")
    assert error_of(await bench.give(0, verdict="up"))["type"] == "validation_failed"


async def test_a_follow_up_waits_even_where_no_operator_is_needed() -> None:
    bench = Bench(feedback=FeedbackSettings(needs_operator=False))
    assert (await bench.give(2, verdict="up", exchange=0)).json()["status"] == "accepted"
    assert (await bench.give(0, verdict="up", exchange=1)).json()["status"] == "pending"
    first, second = bench.conversations.feedback
    assert (first.decided_by, first.decided_at) == ("user ann", first.given_at)
    assert second.decided_by is None


async def test_a_refusal_can_be_corrected(bench: Bench) -> None:
    refusing = FakePromptBuilder(
        build_with=lambda question, repair: CannotAnswer(reason="out_of_scope", message="No.")
    )
    bench.service._stages = bench.service._stages._replace(prompt_builder=refusing)
    assert (await bench.give(verdict="down", sql="SELECT 8")).json()["status"] == "pending"
    assert (await bench.give(0, verdict="up")).json()["status"] == "noted"


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"verdict": "up", "sql": "SELECT 1"}, 400, "invalid_request"),
        ({"verdict": "up", "exchange": 9}, 400, "invalid_request"),
        ({"verdict": "up", "exchange": -1}, 400, "invalid_request"),
        ({"verdict": "maybe"}, 400, "invalid_request"),
        ({"verdict": "down", "sql": " "}, 400, "invalid_request"),
        ({"verdict": "down", "comment": "x" * 2001}, 400, "invalid_request"),
        ({"verdict": "up", "more": 1}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        ({"verdict": "up", "conversation_id": "other"}, 404, "conversation_not_found"),
    ],
)
async def test_refusals_have_the_documented_shape(
    bench: Bench, fields: dict[str, Any], status: int, kind: str
) -> None:
    response = await bench.give(**fields)
    assert response.status_code == status
    assert error_of(response)["type"] == kind
    assert bench.conversations.feedback == []


async def test_a_store_that_is_away_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_feedback: object) -> None:
        raise StoreUnavailable()

    monkeypatch.setattr(bench.conversations, "give_feedback", away)
    response = await bench.give(verdict="down")
    assert response.status_code == 503
    assert error_of(response)["type"] == "internal_error"


async def test_the_call_can_be_switched_off() -> None:
    bench = Bench(features=FeatureSettings(feedback=False))
    assert (await bench.give(verdict="up")).status_code == 404
