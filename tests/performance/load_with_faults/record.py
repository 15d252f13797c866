"""What happened in a run: every call's ending, the faults' windows, and which endings no fault explains."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.performance.load_with_faults.judge import BROKEN, Seen, objections, outcome_of

# Evidence is for reading; the counts beside it are whole.
MOST_EVIDENCE = 40
EVIDENCE_CHARACTERS = 700


@dataclass
class Window:
    """From a fault until everything is ready again. ``proxy``: connections break meanwhile."""

    name: str
    began: float
    ended: float | None = None
    proxy: bool = False

    def overlaps(self, ending: "Ending") -> bool:
        return ending.began <= (self.ended or float("inf")) and ending.ended >= self.began


@dataclass(frozen=True)
class Ending:
    """How a call ended; ``expected`` if it is what the client's own doing leads to."""

    kind: str
    outcome: str
    expected: bool
    began: float
    ended: float
    evidence: dict[str, Any]


@dataclass
class Verdict:
    """Endings that are not what was asked for, by what explains them. ``failures``: nothing does.

    ``undisturbed``: calls that met no fault, however they ended.
    """

    undisturbed: int = 0
    inside: Counter[str] = field(default_factory=Counter)
    in_bursts: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)


class Record:
    """Filled by clients and by the faults while they are at work."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self.began = time.monotonic()
        self.endings: list[Ending] = []
        self.windows: list[Window] = []
        self.bursts: list[Window] = []
        self.undocumented: list[dict[str, Any]] = []
        self.wrong: list[dict[str, Any]] = []
        self.other_forms = 0
        self.not_comparable = 0
        self.compared = 0

    def note(self, kind: str, seen: Seen, expected: Collection[str]) -> str:
        """Judge one call; gives its outcome."""
        outcome = outcome_of(seen)
        evidence = self.evidence(kind, seen)
        if faults := objections(seen, self._deadline_s):
            self.undocumented.append(evidence | {"objections": faults})
        self.endings.append(Ending(kind, outcome, outcome in expected, seen.began, seen.ended, evidence))
        return outcome

    def evidence(self, kind: str, seen: Seen) -> dict[str, Any]:
        return {
            "kind": kind,
            "request_id": seen.request_id,
            "at_s": round(seen.began - self.began, 1),
            "seconds": round(seen.seconds, 2),
            "status": seen.status,
            "broken": seen.broken,
            "text": seen.text[-EVIDENCE_CHARACTERS:] if seen.status != 200 else "",
        }

    @contextmanager
    def window(self, name: str, proxy: bool = False) -> Iterator[Window]:
        """A fault; it stays open, and explains whatever comes, if the block fails."""
        window = Window(name, time.monotonic(), proxy=proxy)
        self.windows.append(window)
        yield window
        window.ended = time.monotonic()

    @contextmanager
    def burst(self) -> Iterator[None]:
        window = Window("burst", time.monotonic())
        self.bursts.append(window)
        try:
            yield
        finally:
            window.ended = time.monotonic()

    def calls(self) -> dict[str, dict[str, int]]:
        """Endings by kind of call."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for ending in self.endings:
            found[ending.kind][ending.outcome] += 1
        return {kind: dict(counts.most_common()) for kind, counts in sorted(found.items())}

    def verdict(self) -> Verdict:
        verdict = Verdict()
        for ending in self.endings:
            windows = [window for window in self.windows if window.overlaps(ending)]
            verdict.undisturbed += not windows
            if ending.expected:
                continue
            if ending.outcome == BROKEN:
                windows = [window for window in windows if window.proxy]
            if windows:
                verdict.inside[ending.outcome] += 1
            elif ending.outcome == "overloaded" and any(burst.overlaps(ending) for burst in self.bursts):
                verdict.in_bursts[ending.outcome] += 1
            else:
                verdict.outside[ending.outcome] += 1
                verdict.failures.append(ending.evidence | {"outcome": ending.outcome})
        return verdict

    def seconds(self, kinds: Collection[str], outcome: str = "answer") -> list[float]:
        """Sorted times of the calls of these kinds that ended so."""
        return sorted(e.ended - e.began for e in self.endings if e.kind in kinds and e.outcome == outcome)
