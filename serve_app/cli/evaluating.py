"""`eval`: score a running server on files of questions with gold statements."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.cli.calibrating import print_reliability, write_calibration
from serve_app.cli.output import EXIT_FAILED, fail, note, result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serve_app.evaluation.items import Item
    from serve_app.evaluation.report import Report, Share
    from serve_app.evaluation.run import Progress, Scored


def register(app: typer.Typer) -> None:
    app.command("eval", epilog="Example: plumbline eval tests/data/eval/single.jsonl --failures")(evaluate)


def evaluate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="JSON lines of one-shot questions, conversations or clarification decisions."),
    ] = None,
    verified: Annotated[
        bool,
        typer.Option(
            "--verified", help="Ask every verified example: the domain pack's and accepted feedback."
        ),
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="Server to ask; default: the one that `plumbline up` started.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="Database of the gold statements; default: the one that is asked.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions asked at the same time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures and verdicts as JSON.")] = False,
    failures: Annotated[bool, typer.Option("--failures", help="List the questions that went wrong.")] = False,
    at_least: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Exit code 1 if fewer percent are right over all files."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one answer.")] = 120.0,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Fit the confidence on these answers and write it there, e.g. beside the model's weights. "
            "Use questions that the model was not trained on.",
        ),
    ] = None,
) -> None:
    """Score a running server by the rows of its statements.

    An answer is right if its statement gives the rows of a gold statement on the same database. In
    conversations every turn after the first counts. A clarification is right exactly if one is needed.
    """
    import asyncio

    from serve_app.evaluation.golds import GoldError
    from serve_app.evaluation.items import EvaluationFileError, load_items
    from serve_app.evaluation.report import make_report, overall

    try:
        loaded = [(str(path), load_items(path)) for path in files or ()]
    except EvaluationFileError as error:
        fail(str(error))
    if verified:
        loaded.append(("verified examples", _verified_items()))
    if not loaded:
        fail("give files of questions, or --verified")
    if calibrate is not None and not calibrate.resolve().parent.is_dir():
        fail(f"{calibrate} cannot be written: its folder does not exist")
    base, dsn = _targets(url, database_url)
    try:
        scored = [
            asyncio.run(_run(items, base, dsn, concurrency, timeout, Path(name).name))
            for name, items in loaded
        ]
    except GoldError as error:
        fail(str(error), EXIT_FAILED)
    reports = [make_report(name, results) for (name, _), results in zip(loaded, scored, strict=True)]
    if as_json:
        result(json.dumps({"url": base, "files": [_as_json(report) for report in reports]}, indent=1))
    else:
        for report in reports:
            _print_report(report, failures)
            print_reliability(report.results)
    if all(result.failure == "unreachable" for results in scored for result in results):
        fail(f"nothing answers at {base}; start it with `plumbline up`", EXIT_FAILED)
    if calibrate is not None:
        write_calibration(calibrate, reports)
    if at_least is not None and overall(reports).percent < at_least:
        fail(f"{overall(reports).percent:.1f} % are right, {at_least:g} % were asked for", EXIT_FAILED)


def _verified_items() -> "tuple[Item, ...]":
    from deployments.prompt_builder.retrieval import load_examples
    from deployments.prompt_builder.verified.library import example_of
    from serve_app.cli.feedback import with_store
    from serve_app.evaluation.verified import verified_items
    from serve_app.paths import resolve
    from serve_app.settings import load_settings

    path = resolve(load_settings().domain.pack) / "examples.jsonl"
    try:
        pack = load_examples(path)
    except (OSError, ValueError) as error:
        fail(f"the domain pack's examples cannot be read: {error}")
    accepted = (example_of(pair) for pair in with_store(lambda store: store.verified()))
    examples = [*pack, *(example for example in accepted if example is not None)]
    items = verified_items(examples)
    if len(items) < len(examples):
        note(f"left out: {len(examples) - len(items)} pairs that belong to one organization")
    return items


def _as_json(report: "Report") -> dict[str, object]:
    from serve_app.evaluation.calibration import reliability

    table = reliability(report.results)
    return {**report.model_dump(), "reliability": table.model_dump() if table else None}


def _targets(url: str | None, database_url: str | None) -> tuple[str, str]:
    from serve_app.cli.asking import running_url
    from serve_app.cli.instance import reader_dsn
    from serve_app.cli.state import StateFolder
    from serve_app.settings import load_settings

    if url is not None and not url.startswith(("http://", "https://")):
        fail(f"{url!r} is not an HTTP address such as http://127.0.0.1:8000")
    settings = load_settings()
    return url or running_url(), database_url or reader_dsn(settings, StateFolder.of(settings))


async def _run(
    items: "Sequence[Item]", url: str, dsn: str, concurrency: int, timeout_s: float, name: str
) -> "tuple[Scored, ...]":
    import httpx

    from serve_app.evaluation.client import Endpoint
    from serve_app.evaluation.golds import GoldDatabase
    from serve_app.evaluation.run import evaluate as score

    async with httpx.AsyncClient(timeout=timeout_s) as client, GoldDatabase(dsn, concurrency) as database:
        with _Progress(name, len(items)) as advance:
            return await score(items, Endpoint(client, url), database, concurrency, advance)


class _Progress:
    """A bar on a terminal, a line every tenth elsewhere."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._done = 0

    def __enter__(self) -> "Progress":
        import sys

        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True) if sys.stderr.isatty() else None
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total)
        return self._advance

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _advance(self) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif self._done == self._total or self._done % max(1, self._total // 10) == 0:
            note(f"… {self._name}: {self._done} of {self._total}")


def _print_report(report: "Report", failures: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"{report.name}: {_words(report.score)}", no_wrap=True, overflow="ignore"), crop=False)
    table = Table()
    for heading, justify in (("", "left"), ("right", "right"), ("asked", "right"), ("%", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    sections = [({"all": report.score}), report.by_difficulty, report.by_tag]
    if report.first_turns is not None:
        sections[0]["first turns (not counted)"] = report.first_turns
    for section in sections:
        for name, share in section.items():
            table.add_row(Text(name), str(share.right), str(share.asked), f"{share.percent:.1f}")
        if section:
            table.add_section()
    console.print(table)
    told = ", ".join(f"{number} {name}" for name, number in report.failures.items()) or "none"
    console.print(Text(f"failures: {told}"))
    console.print(
        Text("latency: " + ", ".join(f"{name} {value:g} ms" for name, value in report.latency_ms.items()))
    )
    if failures:
        for item in report.results:
            if item.counts and not item.right:
                console.print(
                    Text(f"\n{item.id} [{item.failure}] {item.question}\n  {item.detail}\n  {item.sql or ''}")
                )


def _words(share: "Share") -> str:
    return f"{share.right} of {share.asked} right ({share.percent:.1f} %)"
