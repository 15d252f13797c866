"""The README's table of a run: one line a file, so that its figures are never typed by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from serve_app.evaluation.report import Report, Share
from serve_app.evaluation.saved import SavedRun

LEVELS: Final = ("simple", "medium", "hard")
# How files are introduced, by how their names begin; the first that fits.
KINDS: Final[Mapping[str, str]] = {
    "single": "development questions",
    "conversations": "development conversations, turns after the first",
    "clarify": "when to ask back",
    "test-": "unseen writer",
    "validation-": "held-out writer",
}
NOTHING: Final = "–"


def accuracy_table(run: SavedRun) -> str:
    """Right answers by file and difficulty, refusals, and latency percentiles in milliseconds."""
    head = ("questions", "right", *LEVELS, "answerable refused", "unanswerable refused", "p50, p95 ms")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cells(report))} |" for report in run.files]
    return "\n".join(lines)


def failure_table(run: SavedRun) -> str:
    """Wrong answers of all files by class, with what part of the questions they are."""
    report = run.together
    lines = ["| failure class | questions | % |", "|---|---|---|"]
    for name, levels in report.failures.items():
        count = sum(levels.values())
        lines.append(f"| `{name}` | {count} | {100 * count / report.score.asked:.1f} |")
    return "\n".join(lines)


def _cells(report: Report) -> list[str]:
    refusals = report.refusals
    return [
        _title(report.name),
        f"**{report.score.percent:.0f} %** ({_of(report.score)})",
        *(_of(report.by_difficulty[level]) if level in report.by_difficulty else NOTHING for level in LEVELS),
        str(refusals.answerable_refused) if refusals.answerable else NOTHING,
        f"{refusals.unanswerable_refused} of {refusals.unanswerable}" if refusals.unanswerable else NOTHING,
        f"{report.latency_ms['p50']:.0f}, {report.latency_ms['p95']:.0f}",
    ]


def _title(name: str) -> str:
    file = Path(name).name
    kind = next((words for start, words in KINDS.items() if file.startswith(start)), "questions")
    if kind == "held-out writer":
        kind += ": turns after the first" if "-conversations" in file else ""
        kind += ": unanswerable questions" if "-unanswerable" in file else ""
    return f"{kind} (`{file}`)"


def _of(share: Share) -> str:
    return f"{share.right} of {share.asked}"
