"""Paired comparison of two runs."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from serve_app.evaluation.comparison import Pair, compare_runs, mcnemar, paired
from serve_app.evaluation.items import EvaluationFileError
from serve_app.evaluation.report import make_report
from serve_app.evaluation.run import Scored
from serve_app.evaluation.saved import SavedRun


def scored(id: str, right: bool, **fields: object) -> Scored:
    values = {"id": id, "kind": "single", "question": f"{id}?", "right": right, "latency_ms": 1.0}
    return Scored.model_validate(values | fields)


def run(name: str, results: Sequence[Scored]) -> SavedRun:
    return SavedRun(target="t", at=datetime(2026, 1, 1, tzinfo=UTC), files=(make_report(name, results),))


def pair(id: str, first: bool, second: bool) -> Pair:
    one, other = scored(id, first), scored(id, second)
    return Pair(id=id, question="q", difficulty=None, first=one, second=other)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        # 2 · (1/2)^6 and 2 · (1 + 10) / 2^10, by hand.
        (6, 0, 0.03125),
        (9, 1, 22 / 1024),
        (1, 9, 22 / 1024),
    ],
)
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int, expected: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(expected)


def test_mcnemar_of_many_questions_stays_a_probability() -> None:
    assert mcnemar(3_000, 3_000) == 1.0
    assert 0 <= mcnemar(3_000, 2_000) < 1e-9


def test_gains_and_losses_are_told_with_an_interval_around_the_difference() -> None:
    pairs = [pair(f"a{i}", False, True) for i in range(30)] + [pair(f"b{i}", True, True) for i in range(70)]
    found = paired("all", pairs)
    assert (found.gained, found.lost, found.first_right, found.second_right) == (30, 0, 70, 100)
    assert found.points == pytest.approx(30.0)
    # Normal approximation: 30 ± 1.96 · 4.58.
    assert found.low == pytest.approx(21.0, abs=1.0)
    assert found.high == pytest.approx(39.0, abs=1.0)


def test_turns_of_a_conversation_are_drawn_together() -> None:
    apart = [pair(f"c{i}", False, i < 50) for i in range(100)]
    together = [pair(f"c{i // 10}/{i % 10}", False, i < 50) for i in range(100)]
    narrow, wide = paired("", apart), paired("", together)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_runs_are_paired_by_file_and_id_and_openings_do_not_count() -> None:
    first = run(
        "old/q.jsonl", [scored("a", True, difficulty="hard"), scored("b", False), scored("only", True)]
    )
    second = run(
        "q.jsonl",
        [scored("a", False, difficulty="hard"), scored("b", False), scored("c/1", True, counts=False)],
    )
    found = compare_runs(first, second)
    assert (found.all.questions, found.all.lost, found.unpaired) == (2, 1, 1)
    assert [row.name for row in found.by_difficulty] == ["hard"]
    assert [p.id for p in found.changed] == ["a"]


def test_other_questions_under_the_same_id_are_refused() -> None:
    with pytest.raises(EvaluationFileError, match="different questions"):
        compare_runs(run("q", [scored("a", True)]), run("q", [scored("a", True, question="another?")]))
    with pytest.raises(EvaluationFileError, match="no question in common"):
        compare_runs(run("q", [scored("a", True)]), run("other", [scored("a", True)]))
    # A run saved without text is paired by id alone.
    assert (
        compare_runs(run("q", [scored("a", True)]), run("q", [scored("a", True, question="")])).unpaired == 0
    )
