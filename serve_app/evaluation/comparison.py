"""Two runs over the same questions: which is better, and whether that could be chance.

Verdicts are paired by question. The test is McNemar's (1947) in its exact form: of the questions that one run
alone got right, each would be either's with probability 1/2 if there were no difference. The interval of the
difference is a percentile bootstrap (Efron, 1979) over items, so that turns of a conversation stay together.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from serve_app.evaluation.items import EvalModel, EvaluationFileError
from serve_app.evaluation.report import difficulties
from serve_app.evaluation.run import Scored
from serve_app.evaluation.saved import SavedRun

RESAMPLES: Final = 10_000
COVERAGE: Final = 0.95
# The same runs give the same interval.
SEED: Final = 20_260


class Pair(EvalModel):
    """One question in both runs."""

    id: str
    question: str
    difficulty: str | None
    first: Scored
    second: Scored


class Difference(EvalModel):
    """Verdicts of two runs on the same questions.

    ``gained`` were right in the second run alone, ``lost`` in the first alone. ``points`` is the second's
    share of right answers less the first's, in percentage points, within ``low`` and ``high`` at 95 %
    confidence. ``p_value`` is two-sided.
    """

    name: str
    questions: int
    first_right: int
    second_right: int
    gained: int
    lost: int
    points: float
    low: float
    high: float
    p_value: float


class RunComparison(EvalModel):
    """Two runs: all questions, then by file and by difficulty; ``changed`` are the pairs that differ.

    ``unpaired`` counts the questions that only one of the runs has.
    """

    all: Difference
    by_file: tuple[Difference, ...]
    by_difficulty: tuple[Difference, ...]
    changed: tuple[Pair, ...]
    unpaired: int


def compare_runs(first: SavedRun, second: SavedRun) -> RunComparison:
    """Pair the questions of two runs by file and id.

    Raises:
        EvaluationFileError: they have no question in common, or another question under the same id.
    """
    ours, theirs = _by_file(first), _by_file(second)
    pairs: dict[str, list[Pair]] = {}
    for name in ours.keys() & theirs.keys():
        for key in ours[name].keys() & theirs[name].keys():
            pairs.setdefault(name, []).append(_pair(name, ours[name][key], theirs[name][key]))
    together = [pair for name in sorted(pairs) for pair in sorted(pairs[name], key=lambda pair: pair.id)]
    if not together:
        raise EvaluationFileError("the two runs have no question in common")
    levels = difficulties(pair.difficulty for pair in together if pair.difficulty)
    total = sum(len(results) for run in (ours, theirs) for results in run.values())
    return RunComparison(
        all=paired("all", together),
        by_file=tuple(paired(name, pairs[name]) for name in sorted(pairs)),
        by_difficulty=tuple(
            paired(level, [p for p in together if p.difficulty == level]) for level in levels
        ),
        changed=tuple(pair for pair in together if pair.first.right != pair.second.right),
        unpaired=total - 2 * len(together),
    )


def paired(name: str, pairs: Sequence[Pair]) -> Difference:
    """The figures of some pairs, of which there must be one at least."""
    gained = sum(pair.second.right and not pair.first.right for pair in pairs)
    lost = sum(pair.first.right and not pair.second.right for pair in pairs)
    low, high = bootstrap_interval(pairs)
    return Difference(
        name=name,
        questions=len(pairs),
        first_right=sum(pair.first.right for pair in pairs),
        second_right=sum(pair.second.right for pair in pairs),
        gained=gained,
        lost=lost,
        points=100.0 * (gained - lost) / len(pairs),
        low=low,
        high=high,
        p_value=mcnemar(gained, lost),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value: twice the smaller binomial tail at 1/2, at most 1."""
    changed = gained + lost
    tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1))
    return min(1.0, float(2 * tail / 2**changed))


def bootstrap_interval(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Bounds of the difference in percentage points."""
    groups: dict[str, list[int]] = {}
    for pair in pairs:
        # A conversation's turns are named after it: c01/2.
        groups.setdefault(pair.id.split("/")[0], []).append(int(pair.second.right) - int(pair.first.right))
    sums = np.array([sum(group) for group in groups.values()])
    sizes = np.array([len(group) for group in groups.values()])
    random = np.random.default_rng(SEED)
    drawn = [random.integers(len(sums), size=len(sums)) for _ in range(RESAMPLES)]
    points = [100.0 * sums[draw].sum() / sizes[draw].sum() for draw in drawn]
    rest = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(points, [rest, 100 - rest])
    return float(low), float(high)


def _by_file(run: SavedRun) -> dict[str, dict[str, Scored]]:
    """Results that count, by the file's name without its folder, and id."""
    return {
        report.name.replace("\\", "/").rsplit("/", 1)[-1]: {r.id: r for r in report.results if r.counts}
        for report in run.files
    }


def _pair(file: str, first: Scored, second: Scored) -> Pair:
    if first.question and second.question and first.question != second.question:
        raise EvaluationFileError(
            f"{file}, {first.id}: the runs asked different questions, {first.question!r} and "
            f"{second.question!r}; evaluate both on the same file"
        )
    return Pair(
        id=first.id,
        question=first.question or second.question,
        difficulty=first.difficulty,
        first=first,
        second=second,
    )
