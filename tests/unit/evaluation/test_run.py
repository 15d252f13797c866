from collections.abc import Sequence
from pathlib import Path

import pytest

from serve_app.evaluation.client import Reply
from serve_app.evaluation.golds import Comparison, GoldError
from serve_app.evaluation.items import (
    ClarifyItem,
    ConversationItem,
    SingleItem,
    Turn,
    UnanswerableItem,
    load_items,
)
from serve_app.evaluation.report import make_report, overall
from serve_app.evaluation.run import evaluate


class EndpointFake:
    """Answers by question; remembers the conversation ids it was given."""

    def __init__(self, **replies: Reply) -> None:
        self._replies = replies
        self.given: list[tuple[str, str | None]] = []

    async def ask(self, question: str, conversation_id: str | None = None) -> Reply:
        self.given.append((question, conversation_id))
        return self._replies[question]


class DatabaseFake:
    """An answer is right if its text is one of the golds; ``broken`` does not run."""

    async def compare(self, answer_sql: str, golds: Sequence[str], ordered: bool) -> Comparison:
        if "broken gold" in golds:
            raise GoldError("A gold statement does not run")
        if answer_sql == "broken":
            return Comparison(False, "does not run", runnable=False)
        return Comparison(answer_sql in golds, "1 rows of 1 columns instead of 2 rows of 1 columns")


def reply(kind: str = "answer", sql: str | None = None, **fields: object) -> Reply:
    return Reply.model_validate({"kind": kind, "sql": sql, "latency_ms": 10.0, **fields})


def single(question: str, *gold: str, **fields: object) -> SingleItem:
    return SingleItem.model_validate(
        {"id": question, "question": question, "gold": gold or ("right",), **fields}
    )


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (reply(sql="right"), None),
        (reply(sql="other"), "wrong_rows"),
        (reply(sql="broken"), "execution_error"),
        (reply(), "no_sql"),
        (reply("clarification"), "clarified"),
        (reply("refusal"), "refused"),
        (reply("error", error_type="generation_timeout"), "generation_timeout"),
        (reply("error", error_type="validation_failed"), "validation_refused"),
        (reply("error", error_type="execution_timeout"), "execution_error"),
    ],
)
async def test_each_way_to_fail_has_its_class(given: Reply, failure: str | None) -> None:
    (scored,) = await evaluate([single("q")], EndpointFake(q=given), DatabaseFake())
    assert (scored.right, scored.failure) == (failure is None, failure)


async def test_turns_after_the_first_count_and_carry_the_conversation() -> None:
    turns = tuple(Turn(question=name, gold=("right",)) for name in "abc")
    item = ConversationItem(id="c", turns=turns, tags=("t",))
    endpoint = EndpointFake(
        a=reply(sql="right", conversation_id="id-1"),
        b=reply(sql="other"),
        c=reply(sql="right", conversation_id="id-1"),
    )
    scored = await evaluate([item], endpoint, DatabaseFake())
    assert endpoint.given == [("a", None), ("b", "id-1"), ("c", "id-1")]
    assert [(s.id, s.counts, s.right) for s in scored] == [
        ("c/1", False, True),
        ("c/2", True, False),
        ("c/3", True, True),
    ]


@pytest.mark.parametrize(
    ("kind", "ambiguous", "failure"),
    [
        ("clarification", True, None),
        ("clarification", False, "needlessly_clarified"),
        ("answer", True, "not_clarified"),
        ("answer", False, None),
        ("refusal", True, "not_clarified"),
        ("refusal", False, None),
    ],
)
async def test_a_clarification_is_right_exactly_if_ambiguous(
    kind: str, ambiguous: bool, failure: str | None
) -> None:
    item = ClarifyItem(id="x", question="q", ambiguous=ambiguous, kind="date")
    (scored,) = await evaluate([item], EndpointFake(q=reply(kind)), DatabaseFake())
    assert (scored.right, scored.failure) == (failure is None, failure)
    assert scored.tags == ("date",)


async def test_an_unreachable_server_is_never_right() -> None:
    item = ClarifyItem(id="x", question="q", ambiguous=False)
    (scored,) = await evaluate(
        [item], EndpointFake(q=reply("error", error_type="unreachable")), DatabaseFake()
    )
    assert scored.failure == "unreachable"


async def test_results_keep_the_files_order_and_progress_is_told() -> None:
    items = [single(name) for name in "abcdef"]
    ticks: list[int] = []
    endpoint = EndpointFake(**{name: reply(sql="right") for name in "abcdef"})
    scored = await evaluate(items, endpoint, DatabaseFake(), concurrency=3, progress=lambda: ticks.append(1))
    assert [s.id for s in scored] == list("abcdef")
    assert len(ticks) == 6


async def test_a_broken_gold_ends_the_evaluation() -> None:
    with pytest.raises(GoldError):
        await evaluate([single("q", "broken gold")], EndpointFake(q=reply(sql="x")), DatabaseFake())


async def test_the_report_counts_by_tag_difficulty_and_failure() -> None:
    items = [
        single("a", tags=("date", "sum"), difficulty="simple"),
        single("b", tags=("date",), difficulty="hard"),
        single("c", tags=("sum",), difficulty="hard"),
    ]
    endpoint = EndpointFake(a=reply(sql="right"), b=reply(sql="other"), c=reply("refusal", latency_ms=40.0))
    report = make_report("file", await evaluate(items, endpoint, DatabaseFake()))
    assert (report.score.right, report.score.asked) == (1, 3)
    assert {tag: (s.right, s.asked) for tag, s in report.by_tag.items()} == {"date": (1, 2), "sum": (1, 2)}
    assert {level: s.asked for level, s in report.by_difficulty.items()} == {"hard": 2, "simple": 1}
    assert list(report.by_difficulty) == ["simple", "hard"]
    assert report.failures == {"wrong_rows": {"hard": 1}, "refused": {"hard": 1}}
    latencies = {"mean": 20.0, "p50": 10.0, "p90": 40.0, "p95": 40.0, "p99": 40.0, "max": 40.0}
    assert report.latency_ms == latencies
    assert report.first_turns is None
    assert overall([report, report]).score.percent == pytest.approx(100 / 3)


async def test_answers_are_counted_by_engine() -> None:
    endpoint = EndpointFake(
        a=reply(sql="right", engine="verified"),
        b=reply(sql="other", engine="house"),
        c=reply("refusal", engine="house"),
    )
    report = make_report("file", await evaluate([single(n) for n in "abc"], endpoint, DatabaseFake()))
    assert {name: (s.right, s.asked) for name, s in report.by_engine.items()} == {
        "house": (0, 1),
        "verified": (1, 1),
    }


async def test_unanswerable_questions_are_right_when_refused_and_a_question_back_is_apart() -> None:
    names = ("refused", "asked_back", "answered", "failed", "answerable")
    items = [UnanswerableItem(id=name, question=name, answerable=False) for name in names[:4]]
    endpoint = EndpointFake(
        refused=reply("refusal"),
        asked_back=reply("clarification"),
        answered=reply(sql="SELECT 1"),
        failed=reply("error", error_type="generation_timeout"),
        answerable=reply("refusal"),
    )
    scored = await evaluate([*items, single("answerable")], endpoint, DatabaseFake())
    assert [(s.id, s.failure) for s in scored] == [
        ("refused", None),
        ("asked_back", "clarified"),
        ("answered", "answered"),
        ("failed", "generation_timeout"),
        ("answerable", "refused"),
    ]
    refusals = make_report("file", scored).refusals
    assert (refusals.unanswerable, refusals.unanswerable_refused, refusals.unanswerable_clarified) == (
        4,
        1,
        1,
    )
    assert (refusals.unanswerable_percent, refusals.answerable_percent) == (25.0, 100.0)


async def test_first_turns_are_reported_apart() -> None:
    items = [
        i for i in load_items(Path("tests/data/eval/conversations.jsonl")) if isinstance(i, ConversationItem)
    ]
    questions = {turn.question: reply(sql=turn.gold[0]) for item in items for turn in item.turns}
    report = make_report("conversations", await evaluate(items, EndpointFake(**questions), DatabaseFake()))
    assert report.first_turns is not None
    assert report.first_turns.asked == len(items)
    assert report.score.asked == sum(len(item.turns) - 1 for item in items)
