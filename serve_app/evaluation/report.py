"""Figures of an evaluation: by tag, difficulty and failure class, with latencies."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from serve_app.evaluation.items import EvalModel
from serve_app.evaluation.run import Scored

PERCENTILES = (50, 90, 99)


class Share(EvalModel):
    """Right answers among the questions that count."""

    right: int
    asked: int

    @property
    def percent(self) -> float:
        return 100.0 * self.right / self.asked if self.asked else 0.0


class Report(EvalModel):
    """One file's results. ``first_turns`` are the conversations' openings, which do not count."""

    name: str
    score: Share
    first_turns: Share | None
    by_tag: dict[str, Share]
    by_difficulty: dict[str, Share]
    failures: dict[str, int]
    latency_ms: dict[str, float]
    results: tuple[Scored, ...]


def make_report(name: str, results: Sequence[Scored]) -> Report:
    counted = [result for result in results if result.counts]
    openings = [result for result in results if not result.counts]
    tags = sorted({tag for result in counted for tag in result.tags})
    levels = sorted({result.difficulty for result in counted if result.difficulty})
    failures = Counter(result.failure for result in counted if result.failure)
    return Report(
        name=name,
        score=_share(counted),
        first_turns=_share(openings) if openings else None,
        by_tag={tag: _share(r for r in counted if tag in r.tags) for tag in tags},
        by_difficulty={level: _share(r for r in counted if r.difficulty == level) for level in levels},
        failures=dict(failures.most_common()),
        latency_ms=_latencies([result.latency_ms for result in results]),
        results=tuple(results),
    )


def overall(reports: Sequence[Report]) -> Share:
    return Share(
        right=sum(report.score.right for report in reports),
        asked=sum(report.score.asked for report in reports),
    )


def _share(results: Iterable[Scored]) -> Share:
    verdicts = [result.right for result in results]
    return Share(right=sum(verdicts), asked=len(verdicts))


def _latencies(values: list[float]) -> dict[str, float]:
    """Nearest-rank percentiles, mean and maximum."""
    ordered = sorted(values)
    ranks = {f"p{p}": ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] for p in PERCENTILES}
    figures = {"mean": sum(ordered) / len(ordered), **ranks, "max": ordered[-1]}
    return {name: round(value, 1) for name, value in figures.items()}
