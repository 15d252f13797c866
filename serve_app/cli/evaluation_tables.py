"""Reports of `eval` as tables on a terminal."""

from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.cli.calibrating import print_reliability
from serve_app.evaluation.report import difficulties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serve_app.evaluation.comparison import Difference, RunComparison
    from serve_app.evaluation.report import Refusals, Report, Share
    from serve_app.evaluation.saved import SavedRun

# Above, a difference may be chance.
SIGNIFICANT = 0.05


def print_run(run: "SavedRun", failures: bool) -> None:
    """Every file, then all together if there are several."""
    for report in run.files:
        print_report(report, failures)
    if len(run.files) > 1:
        print_report(run.together, failures=False)


def print_report(report: "Report", failures: bool) -> None:
    console = Console()
    console.print(Text(f"{report.name}: {_words(report.score)}", no_wrap=True, overflow="ignore"), crop=False)
    console.print(_shares(report))
    if report.failures:
        console.print(_failures(report.failures, report.score.asked))
    else:
        console.print(Text("failures: none"))
    for line in _refused(report.refusals):
        console.print(Text(line))
    console.print(
        Text("latency: " + ", ".join(f"{name} {value:g} ms" for name, value in report.latency_ms.items()))
    )
    print_reliability(report.reliability)
    if failures:
        for item in report.results:
            if item.counts and not item.right:
                console.print(
                    Text(f"\n{item.id} [{item.failure}] {item.question}\n  {item.detail}\n  {item.sql or ''}")
                )


def print_comparison(comparison: "RunComparison", names: tuple[str, str], changed: bool) -> None:
    """Differences of the second run to the first; with ``changed`` the questions behind them."""
    console = Console()
    first, second = names
    console.print(Text(f"A: {first}\nB: {second}", no_wrap=True, overflow="ignore"), crop=False)
    table = _table("", "questions", "A right", "B right", "B alone", "A alone", "B - A", "95 % interval", "p")
    for rows in ((comparison.all,), comparison.by_file, comparison.by_difficulty):
        for row in rows:
            table.add_row(*_difference(row))
        if rows:
            table.add_section()
    console.print(table)
    console.print(Text(_verdict(comparison.all)))
    if comparison.unpaired:
        console.print(Text(f"left out: {comparison.unpaired} questions that only one of the runs has"))
    if changed:
        for pair in comparison.changed:
            who = "B alone" if pair.second.right else "A alone"
            wrong = pair.first if pair.second.right else pair.second
            console.print(
                Text(f"\n{pair.id} [{who} right; {wrong.failure}] {pair.question}\n  {wrong.sql or ''}")
            )


def _verdict(all_: "Difference") -> str:
    told = f"B - A = {all_.points:+.1f} points, p = {all_.p_value:.3g} (exact McNemar, two-sided)"
    if all_.p_value >= SIGNIFICANT:
        return f"{told}: this may be chance"
    return f"{told}: {'B' if all_.points > 0 else 'A'} is better"


def _difference(row: "Difference") -> list[str]:
    figures = (row.questions, row.first_right, row.second_right, row.gained, row.lost)
    interval = f"{row.low:+.1f} to {row.high:+.1f}"
    return [row.name, *map(str, figures), f"{row.points:+.1f}", interval, f"{row.p_value:.3g}"]


def _shares(report: "Report") -> Table:
    table = _table("", "right", "asked", "%")
    sections = [{"all": report.score}, report.by_difficulty, report.by_tag, report.by_engine]
    if report.first_turns is not None:
        sections[0]["first turns (not counted)"] = report.first_turns
    for number, section in enumerate(sections):
        for name, share in section.items():
            title = f"answered by {name}" if number == len(sections) - 1 else name
            table.add_row(title, str(share.right), str(share.asked), f"{share.percent:.1f}")
        if section:
            table.add_section()
    return table


def _failures(failures: "Mapping[str, Mapping[str, int]]", asked: int) -> Table:
    levels = difficulties(level for counts in failures.values() for level in counts)
    shown = levels if len(levels) > 1 else []
    table = _table("failure class", "questions", "%", *shown)
    for name, counts in failures.items():
        count = sum(counts.values())
        parts = (str(counts.get(level, 0)) for level in shown)
        table.add_row(name, str(count), f"{100 * count / asked:.1f}", *parts)
    return table


def _refused(refusals: "Refusals") -> list[str]:
    lines = []
    if refusals.unanswerable_percent is not None:
        lines.append(
            f"unanswerable: {refusals.unanswerable_refused} of {refusals.unanswerable} refused "
            f"({refusals.unanswerable_percent:.1f} %), {refusals.unanswerable_clarified} asked back"
        )
    if refusals.answerable_percent is not None:
        lines.append(
            f"answerable: {refusals.answerable_refused} of {refusals.answerable} refused "
            f"({refusals.answerable_percent:.1f} %)"
        )
    return lines


def _table(first: str, *figures: str) -> Table:
    table = Table()
    table.add_column(first)
    right: Literal["right"] = "right"
    for heading in figures:
        table.add_column(heading, justify=right)
    return table


def _words(share: "Share") -> str:
    return f"{share.right} of {share.asked} right ({share.percent:.1f} %)"
