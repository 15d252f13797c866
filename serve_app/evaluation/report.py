"""Figures of an evaluation: by tag, difficulty, engine and failure class, with refusals and latencies."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from serve_app.evaluation.calibration import Reliability, reliability
from serve_app.evaluation.differences import by_class
from serve_app.evaluation.items import EvalModel
from serve_app.evaluation.run import Scored

PERCENTILES = (50, 90, 95, 99)
# Of questions whose file names no difficulty.
NO_LEVEL = "–"


class Share(EvalModel):
    """Right answers among the questions that count."""

    right: int
    asked: int

    @property
    def percent(self) -> float:
        return 100.0 * self.right / self.asked if self.asked else 0.0


class Refusals(EvalModel):
    """Who was refused: unanswerable questions should be, answerable ones should not.

    Questions about whether to ask back are neither. ``unanswerable_clarified`` were asked back instead.
    """

    unanswerable: int
    unanswerable_refused: int
    unanswerable_clarified: int
    answerable: int
    answerable_refused: int

    @property
    def unanswerable_percent(self) -> float | None:
        """Refused ones of the unanswerable questions; None if there are none."""
        return 100.0 * self.unanswerable_refused / self.unanswerable if self.unanswerable else None

    @property
    def answerable_percent(self) -> float | None:
        """Refused ones of the answerable questions; None if there are none."""
        return 100.0 * self.answerable_refused / self.answerable if self.answerable else None


class Report(EvalModel):
    """Results of one file, or of all files together.

    ``first_turns`` are the conversations' openings, which do not count. ``by_engine`` has what was answered,
    by who answered it; ``failures`` what is wrong, by class and difficulty. ``latency_ms`` is over everything
    that was asked.
    """

    name: str
    score: Share
    first_turns: Share | None
    by_tag: dict[str, Share]
    by_difficulty: dict[str, Share]
    by_engine: dict[str, Share]
    failures: dict[str, dict[str, int]]
    refusals: Refusals
    latency_ms: dict[str, float]
    reliability: Reliability | None
    results: tuple[Scored, ...]


def make_report(name: str, results: Sequence[Scored]) -> Report:
    counted = [result for result in results if result.counts]
    openings = [result for result in results if not result.counts]
    answered = [result for result in counted if result.answered]
    return Report(
        name=name,
        score=_share(counted),
        first_turns=_share(openings) if openings else None,
        by_tag=_shares(counted, lambda result: result.tags),
        by_difficulty=_shares(counted, lambda result: [result.difficulty] if result.difficulty else []),
        by_engine=_shares(answered, _engines),
        failures=_failures(counted),
        refusals=_refusals(counted),
        latency_ms=_latencies([result.latency_ms for result in results]),
        reliability=reliability(results),
        results=tuple(results),
    )


def overall(reports: Sequence[Report]) -> Report:
    """All files as one."""
    return make_report("all files", [result for report in reports for result in report.results])


def _share(results: Iterable[Scored]) -> Share:
    verdicts = [result.right for result in results]
    return Share(right=sum(verdicts), asked=len(verdicts))


def _shares(results: Sequence[Scored], keys: Callable[[Scored], Iterable[str]]) -> dict[str, Share]:
    groups: dict[str, list[Scored]] = {}
    for result in results:
        for key in keys(result):
            groups.setdefault(key, []).append(result)
    return {key: _share(groups[key]) for key in sorted(groups, key=_level)}


def _engines(result: Scored) -> list[str]:
    """The model that answered, since engines of a kind may run several; else the engine."""
    name = result.model or result.engine
    return [name] if name else []


def difficulties(names: Iterable[str]) -> list[str]:
    """Each once, from simple to hard."""
    return sorted(set(names), key=_level)


def _level(name: str) -> tuple[int, str]:
    """Difficulties from simple to hard, everything else by name."""
    levels = ("simple", "medium", "hard")
    return (levels.index(name), name) if name in levels else (len(levels), name)


def _failures(results: Iterable[Scored]) -> dict[str, dict[str, int]]:
    found = Counter((r.failure, r.difficulty or NO_LEVEL) for r in results if r.failure)
    levels = difficulties(level for _, level in found)
    return {
        name: {level: found[name, level] for level in levels if found[name, level]}
        for name in by_class(name for name, _ in found)
    }


def _refusals(results: Sequence[Scored]) -> Refusals:
    unanswerable = [result for result in results if result.kind == "unanswerable"]
    answerable = [result for result in results if result.kind in ("single", "conversation")]
    return Refusals(
        unanswerable=len(unanswerable),
        unanswerable_refused=sum(result.right for result in unanswerable),
        unanswerable_clarified=sum(result.failure == "clarified" for result in unanswerable),
        answerable=len(answerable),
        answerable_refused=sum(result.failure == "refused" for result in answerable),
    )


def _latencies(values: list[float]) -> dict[str, float]:
    """Nearest-rank percentiles, mean and maximum, in milliseconds."""
    ordered = sorted(values)
    ranks = {f"p{p}": ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] for p in PERCENTILES}
    figures = {"mean": sum(ordered) / len(ordered), **ranks, "max": ordered[-1]}
    return {name: round(value, 1) for name, value in figures.items()}
