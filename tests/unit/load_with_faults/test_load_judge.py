"""The judge of the load run finds each way in which an answer is not as documented."""

import pytest

from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionTimeout,
    InvalidRequest,
    Overloaded,
    PlumblineError,
    StoreUnavailable,
)
from tests.performance.load_with_faults.judge import (
    BROKEN,
    HUNG_UP,
    UNDOCUMENTED,
    Seen,
    objections,
    outcome_of,
)
from tests.unit.load_with_faults.load_cases import answer_body, failure_body, make_seen, make_stream

pytestmark = pytest.mark.unit

DEADLINE_S = 60.0
WHEN = {"retry-after": "5"}
ROWS = ("rows", {"data": answer_body()["data"], "metadata": {}})
OVERLOADED = failure_body(Overloaded(retry_after_s=5.0))


def told(seen: Seen) -> str:
    """All objections in one text; empty if there are none."""
    return "; ".join(objections(seen, DEADLINE_S))


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (make_seen(answer_body()), "answer"),
        (make_seen(answer_body(data=None, answer=None, clarification="Which year?")), "clarification"),
        (make_seen(answer_body(data=None, answer="I cannot tell.")), "refusal"),
        (make_seen(OVERLOADED, 503, headers=WHEN), "overloaded"),
        (make_seen(failure_body(DatabaseUnavailable()), 503), "execution_failed"),
        (make_seen(failure_body(StoreUnavailable()), 503), "internal_error"),
        (make_seen(failure_body(InvalidRequest()), 413), "invalid_request"),
        (make_seen({"status": "ok", "stages": []}, call="health"), "ok"),
        (make_seen({"status": "degraded", "stages": []}, 503, call="ready"), "not ready"),
        (make_seen({"queries": 5}, call="metrics"), "ok"),
        (make_stream(("stage", {}), ROWS, ("done", answer_body())), "answer"),
        (make_stream(("stage", {}), ("error", OVERLOADED)), "overloaded"),
        (make_stream(("error", failure_body(StoreUnavailable()))), "internal_error"),
        (make_seen("", broken="ReadError"), BROKEN),
        (make_seen("", left=True), HUNG_UP),
    ],
)
def test_what_is_documented_is_named_and_not_objected_to(seen: Seen, outcome: str) -> None:
    assert (outcome_of(seen), told(seen)) == (outcome, "")


@pytest.mark.parametrize(
    ("seen", "objection"),
    [
        (make_seen("Internal Server Error", 500), "no JSON object"),
        (make_seen([], 200), "no JSON object"),
        (make_seen(failure_body(PlumblineError()), 500), "internal_error with status 500"),
        (make_seen(failure_body(ExecutionTimeout()), 503), "execution_timeout with status 503"),
        (make_seen({"detail": "Not Found"}, 404), "another shape"),
        (make_seen(OVERLOADED, 503), "no Retry-After"),
        (
            make_seen(failure_body(Overloaded(message=" ")) | {"error": {"type": "overloaded"}}, 503),
            "says nothing",
        ),
        (make_seen(answer_body(answer="asyncpg.exceptions.TooManyConnectionsError")), "tells internals"),
        (make_seen(answer_body(sql="postgresql://reader@host/db")), "tells internals"),
        (make_seen(answer_body(), headers={"x-request-id": "another"}), "x-request-id"),
        (make_seen(answer_body(), seconds=61.0), "ended after 61.0 s"),
        (make_seen("", seconds=61.0, broken="no end"), "ended after 61.0 s"),
        (make_seen(answer_body(extra=1)), "fields ['extra']"),
        (make_seen(answer_body(success=False)), "contradicts"),
        (make_seen(answer_body(data=None, answer=None)), "nothing"),
        (make_seen(answer_body(clarification="Which?")), "['data', 'clarification']"),
        (make_seen({"status": "ok"}, call="health"), "no HealthResponse"),
        (make_stream(ROWS), "the stream's events"),
        (make_stream(("done", answer_body()), ROWS), "the stream's events"),
        (make_stream(("done", answer_body())), "rows event"),
        (make_stream(ROWS, ("done", answer_body(amount=13))), "rows event"),
        (make_stream(("error", failure_body(PlumblineError()))), "ends with internal_error"),
        (make_seen("event: done\ndata: {", headers={"content-type": "text/event-stream"}), "no JSON object"),
    ],
)
def test_what_is_not_documented_is_found(seen: Seen, objection: str) -> None:
    assert objection in told(seen)


def test_an_answer_that_cannot_be_read_is_no_success() -> None:
    assert outcome_of(make_seen("<html>")) == UNDOCUMENTED


def test_a_connection_that_is_refused_before_a_request_has_no_id() -> None:
    seen = make_seen(failure_body(InvalidRequest()), 408, headers={"connection": "close"})
    assert told(Seen(**{**vars(seen), "headers": {"connection": "close"}})) == ""
    assert "x-request-id" in told(Seen(**{**vars(seen), "headers": {}}))
