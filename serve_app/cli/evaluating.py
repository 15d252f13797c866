"""`eval`: score a model on files of questions with gold statements, and compare two such runs."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from serve_app.cli import evaluation_options as options
from serve_app.cli.calibrating import write_calibration
from serve_app.cli.credential import credential_headers
from serve_app.cli.output import EXIT_FAILED, fail, note, result

if TYPE_CHECKING:
    from serve_app.evaluation.items import Item
    from serve_app.evaluation.run import Asks, Progress
    from serve_app.evaluation.saved import SavedRun

    # A file's name and its items.
    Asked = tuple[str, tuple[Item, ...]]

EPILOG = (
    "Examples: plumbline eval tests/data/eval/single.jsonl --failures; "
    "plumbline eval FILES --local --weights runs/house --out b.json; "
    "plumbline eval --compare a.json b.json"
)


def register(app: typer.Typer) -> None:
    app.command("eval", epilog=EPILOG)(evaluate)


def evaluate(
    files: options.Files = None,
    verified: options.Verified = False,
    compare: options.Compare = None,
    show: options.Show = None,
    url: options.Url = None,
    local: options.Local = False,
    weights: options.Weights = None,
    database_url: options.DatabaseUrl = None,
    limit: options.Limit = None,
    concurrency: options.Concurrency = 2,
    timeout: options.Timeout = 120.0,
    as_json: options.AsJson = False,
    markdown: options.Markdown = False,
    failures: options.Failures = False,
    out: options.Out = None,
    no_text: options.NoText = False,
    at_least: options.AtLeast = None,
    calibrate: options.Calibrate = None,
) -> None:
    """Score answers by the rows of their statements.

    An answer is right if its statement gives the rows of a gold statement on the same database. In
    conversations every turn after the first counts. A clarification is right exactly if one is needed, an
    unanswerable question if it is refused. Exit code 0: scored; 1: too few right (--at-least), or nothing
    answers; 2: bad input.
    """
    printing = _Printing(as_json, markdown, failures)
    _check(bool(files) or verified, compare, show, local, weights, url)
    if compare is not None:
        _compare(compare, printing)
        return
    for path in (calibrate, out):
        if path is not None and not path.resolve().parent.is_dir():
            fail(f"{path} cannot be written: its folder does not exist")
    if show is not None:
        run = _saved(show)
    else:
        target = _Target(url, database_url, local, weights, timeout)
        run = _ask_all(_loaded(files or [], verified, limit), target, concurrency)
    printing.run(run)
    if out is not None:
        _save(run, out, no_text)
    if all(item.failure == "unreachable" for report in run.files for item in report.results):
        fail(f"nothing answers at {run.target}; start it with `plumbline up`", EXIT_FAILED)
    if calibrate is not None:
        write_calibration(calibrate, run.files)
    score = run.together.score
    if at_least is not None and score.percent < at_least:
        fail(f"{score.percent:.1f} % are right, {at_least:g} % were asked for", EXIT_FAILED)


@dataclass(frozen=True)
class _Printing:
    """How results are printed."""

    as_json: bool
    markdown: bool
    failures: bool

    def run(self, run: "SavedRun") -> None:
        from serve_app.evaluation.markdown import accuracy_table, failure_table

        if self.as_json:
            result(json.dumps(run.model_dump(mode="json"), indent=1, ensure_ascii=False))
        elif self.markdown:
            result(f"{accuracy_table(run)}\n\n{failure_table(run)}")
        else:
            from serve_app.cli.evaluation_tables import print_run

            print_run(run, self.failures)


@dataclass(frozen=True)
class _Target:
    """Whom the questions go to: a server at ``url``, or the house model in this process."""

    url: str | None
    database_url: str | None
    local: bool
    weights: Path | None
    timeout_s: float

    @property
    def name(self) -> str:
        from serve_app.cli.asking import running_url

        if self.local:
            return str(self.weights) if self.weights is not None else "local"
        return self.url or running_url()

    @contextmanager
    def dsn(self) -> Iterator[str]:
        """The database of the gold statements."""
        from serve_app.cli.instance import reader_dsn
        from serve_app.cli.state import StateFolder
        from serve_app.evaluation.house import target_database
        from serve_app.paths import resolve
        from serve_app.settings import load_settings

        settings = load_settings()
        if self.database_url is not None:
            yield self.database_url
        elif self.local:
            with target_database(settings, resolve(settings.domain.pack)) as dsn:
                yield dsn
        else:
            yield reader_dsn(settings, StateFolder.of(settings))

    @asynccontextmanager
    async def endpoint(self, dsn: str) -> "AsyncIterator[Asks]":
        if self.local:
            from serve_app.evaluation.house import settled_endpoint
            from serve_app.settings import load_settings

            async with settled_endpoint(load_settings(), self.weights, dsn) as endpoint:
                yield endpoint
        else:
            import httpx

            from serve_app.evaluation.client import Endpoint

            async with httpx.AsyncClient(timeout=self.timeout_s, headers=credential_headers()) as client:
                yield Endpoint(client, self.name)


def _check(
    asks: bool,
    compare: tuple[Path, Path] | None,
    show: Path | None,
    local: bool,
    weights: Path | None,
    url: str | None,
) -> None:
    if sum((asks, compare is not None, show is not None)) != 1:
        fail("give files of questions or --verified, or --show with a saved run, or --compare with two")
    if local and url is not None:
        fail("--local and --url exclude each other")
    if weights is not None and not local:
        fail("--weights needs --local; a server has weights of its own")
    if weights is not None and not weights.is_dir():
        fail(f"{str(weights)!r} is no folder")
    if url is not None and not url.startswith(("http://", "https://")):
        fail(f"{url!r} is not an HTTP address such as http://127.0.0.1:8000")


def _loaded(files: list[Path], verified: bool, limit: int | None) -> "list[Asked]":
    from serve_app.evaluation.items import EvaluationFileError, load_items, spread

    try:
        loaded = [(str(path), load_items(path)) for path in files]
    except EvaluationFileError as error:
        fail(str(error))
    if verified:
        loaded.append(("verified examples", _verified_items()))
    return [(name, spread(items, limit)) for name, items in loaded]


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


def _ask_all(loaded: "list[Asked]", target: _Target, concurrency: int) -> "SavedRun":
    import asyncio

    from serve_app.evaluation.golds import GoldError

    try:
        with target.dsn() as dsn:
            return asyncio.run(_run(loaded, target, dsn, concurrency))
    except GoldError as error:
        fail(str(error), EXIT_FAILED)


async def _run(loaded: "list[Asked]", target: _Target, dsn: str, concurrency: int) -> "SavedRun":
    from serve_app.evaluation.golds import GoldDatabase
    from serve_app.evaluation.report import make_report
    from serve_app.evaluation.run import evaluate as score
    from serve_app.evaluation.saved import make_run

    reports = []
    async with GoldDatabase(dsn, concurrency) as database, target.endpoint(dsn) as endpoint:
        for name, items in loaded:
            with _Progress(Path(name).name, len(items)) as advance:
                scored = await score(items, endpoint, database, concurrency, advance)
            reports.append(make_report(name, scored))
    return make_run(target.name, reports)


def _saved(path: Path) -> "SavedRun":
    from serve_app.evaluation.items import EvaluationFileError
    from serve_app.evaluation.saved import load_run

    try:
        return load_run(path)
    except EvaluationFileError as error:
        fail(str(error))


def _save(run: "SavedRun", path: Path, no_text: bool) -> None:
    from serve_app.evaluation.items import EvaluationFileError
    from serve_app.evaluation.saved import save, without_text

    try:
        save(without_text(run) if no_text else run, path)
    except EvaluationFileError as error:
        fail(str(error))
    note(f"saved: {path}")


def _compare(paths: tuple[Path, Path], printing: _Printing) -> None:
    from serve_app.cli.evaluation_tables import print_comparison
    from serve_app.evaluation.comparison import compare_runs
    from serve_app.evaluation.items import EvaluationFileError

    first, second = paths
    try:
        comparison = compare_runs(_saved(first), _saved(second))
    except EvaluationFileError as error:
        fail(str(error))
    if printing.as_json:
        result(json.dumps(comparison.model_dump(mode="json"), indent=1, ensure_ascii=False))
    else:
        print_comparison(comparison, (str(first), str(second)), printing.failures)


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
