"""What the load run counts as explained by a fault, and what it takes for a wrong answer."""

from datetime import date
from typing import Any

import pytest

from serve_app.errors import DatabaseUnavailable, Overloaded
from serve_app.evaluation.scoring import normalised
from tests.performance.load_with_faults.expected import Expected, Gold, delivered
from tests.performance.load_with_faults.judge import Seen
from tests.performance.load_with_faults.record import Record, Window
from tests.unit.load_with_faults.load_cases import answer_body, failure_body, make_seen

pytestmark = pytest.mark.unit

REFUSED = make_seen(failure_body(DatabaseUnavailable()), 503)
OVERLOADED = make_seen(failure_body(Overloaded(retry_after_s=5)), 503, headers={"retry-after": "5"})
BROKEN = make_seen("", broken="ReadError")
GOLD = Gold("SELECT sum(amount) FROM expenses", normalised(1, [(12.5,)]))


@pytest.fixture
def record() -> Record:
    return Record(deadline_s=60.0)


def counted(record: Record, seen: Seen) -> dict[str, dict[str, int]]:
    """A call that should have been answered, by what explains that it was not."""
    record.note("question", seen, {"answer"})
    verdict = record.verdict()
    explained = {"inside": verdict.inside, "in_bursts": verdict.in_bursts, "outside": verdict.outside}
    return {name: dict(found) for name, found in explained.items() if found}


@pytest.mark.parametrize("window", [(90.0, 100.5), (100.5, 100.6), (100.5, None), (90.0, 120.0)])
def test_a_fault_explains_the_refusals_of_its_time(
    record: Record, window: tuple[float, float | None]
) -> None:
    record.windows.append(Window("database", *window))
    assert counted(record, REFUSED) == {"inside": {"execution_failed": 1}}


@pytest.mark.parametrize("window", [(90.0, 99.9), (101.1, None)])
def test_it_explains_none_before_and_after(record: Record, window: tuple[float, float | None]) -> None:
    record.windows.append(Window("database", *window))
    assert counted(record, REFUSED) == {"outside": {"execution_failed": 1}}
    assert record.verdict().failures[0]["outcome"] == "execution_failed"


def test_calls_that_met_no_fault_are_counted(record: Record) -> None:
    record.windows.append(Window("database", 90.0, 99.0))
    for seen in (make_seen(answer_body()), make_seen(answer_body(), began=98.5), REFUSED):
        record.note("question", seen, {"answer"})
    assert record.verdict().undisturbed == 2


def test_connections_break_only_with_the_proxy(record: Record) -> None:
    record.windows.append(Window("database", 90.0, None))
    assert counted(record, BROKEN) == {"outside": {"connection broken": 1}}
    record.windows.append(Window("proxy", 90.0, None, proxy=True))
    assert counted(record, BROKEN) == {"inside": {"connection broken": 2}}


def test_a_burst_explains_overload_and_nothing_else(record: Record) -> None:
    record.bursts.append(Window("burst", 90.0, 100.5))
    assert counted(record, OVERLOADED) == {"in_bursts": {"overloaded": 1}}
    assert counted(record, REFUSED)["outside"] == {"execution_failed": 1}


def test_an_undocumented_answer_is_a_failure_in_a_fault_too(record: Record) -> None:
    record.windows.append(Window("database", 90.0, None))
    record.note("question", make_seen("Internal Server Error", 500), {"answer"})
    (found,) = record.undocumented
    assert (found["status"], found["text"]) == (500, "Internal Server Error")


def test_a_fault_that_does_not_end_stays_open(record: Record) -> None:
    with pytest.raises(RuntimeError), record.window("database"):
        raise RuntimeError
    assert record.windows[0].ended is None


def expected(data: Any = None, golds: tuple[Gold, ...] = (GOLD,)) -> Expected:
    return Expected("spend?", golds, False, "SELECT", data)


@pytest.mark.parametrize(
    ("amount", "is_right"), [(12.5, True), ("12.50", True), (12.6, False), (None, False)]
)
def test_an_answer_is_right_by_the_delivered_rows(amount: Any, is_right: bool) -> None:
    assert expected().is_right(answer_body(amount)) is is_right


def test_a_wrong_row_is_not_the_same_answer() -> None:
    calm = answer_body()["data"]
    assert expected(calm).is_same(answer_body())
    assert not expected(calm).is_same(answer_body(12.51))
    assert not expected(calm).is_same(answer_body(data=calm | {"rows": [], "row_count": 0}))
    assert not expected(calm).is_same(answer_body(data=calm | {"columns": ["amount"]}))


def test_order_counts_where_it_was_asked_for() -> None:
    rows = [{"a": 1}, {"a": 2}]
    data = {"rows": rows, "row_count": 2, "columns": ["a"]}
    turned = {"data": data | {"rows": rows[::-1]}}
    assert Expected("q", (), False, "", data).is_same(turned)
    assert not Expected("q", (), True, "", data).is_same(turned)


def test_dates_are_read_as_the_database_gives_them() -> None:
    columns = [{"name": "day", "database_type": "date", "semantic_type": "date"}]
    body = {"data": {"rows": [{"day": "2026-03-31"}, {"day": None}]}, "metadata": {"columns": columns}}
    assert delivered(body).rows == ((date(2026, 3, 31),), (None,))
