"""`up`, `down`, `status`, `database-url`: the instance on this machine."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.output import EXIT_FAILED, CliError, fail, note, result

WATCH_S = 1.0


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: plumbline up --detach && plumbline ask 'projects over budget'")(up)
    app.command()(down)
    app.command(epilog="Example: plumbline status --json | jq .ready")(status)
    app.command("database-url", epilog='Example: psql "$(plumbline database-url)"')(database_url)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once it is ready; end it with `down`.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="Serve config; default: configs/serve/embedded.yaml, for a machine without GPU."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds to wait until it is ready.")] = 300.0,
) -> None:
    """Start everything on this machine and print the URL.

    The embedded PostgreSQL with the sample data is used unless DATABASE_URL names another database. HTTP is
    served on 127.0.0.1, port PLUMBLINE_PORT (8000). Without --detach it runs until Ctrl-C.
    Ray's dashboard is off.
    """
    from serve_app.cli import instance
    from serve_app.cli.state import StateFolder
    from serve_app.settings import load_settings

    settings = load_settings()
    state = StateFolder.of(settings)
    path = config or instance.default_config()
    if not path.is_file():
        fail(f"the Serve config {str(path)!r} does not exist")
    with state.lock():
        running = state.running()
        if running is not None:
            note(
                f"Plumbline already runs at {running.url} (process {running.pid}); `plumbline down` ends it."
            )
            with _progress() as report:
                instance.revive_database(running, state, report)
                instance.wait_until_ready(running, state, timeout, report)
            result(running.url)
            return
        with _progress() as report:
            started = time.monotonic()
            made = instance.start(settings, path.resolve(), state, report)
            try:
                instance.wait_until_ready(made, state, timeout, report)
            except (CliError, KeyboardInterrupt):
                report("stopping")
                instance.stop(state, keep_logs=True)
                raise
    note(f"Plumbline is ready after {time.monotonic() - started:.0f} s. Log: {made.log}")
    result(made.url)
    if not detach:
        note("Ctrl-C ends it.")
        _stay(made.is_alive)
        note("Stopping …")
        with state.lock():
            instance.stop(state)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, a line per step elsewhere."""
    if not sys.stderr.isatty():
        yield lambda text: note(f"… {text}")
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as spinner:
        yield spinner.update


def _stay(is_alive: Callable[[], bool]) -> None:
    """Until Ctrl-C, SIGTERM or the end of the server."""

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ended)
    try:
        while is_alive():
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        return
    note("The server has ended by itself; see its log.")


def down() -> None:
    """Stop the instance that `up` started, and its embedded database."""
    from serve_app.cli import instance
    from serve_app.cli.state import StateFolder
    from serve_app.settings import load_settings

    state = StateFolder.of(load_settings())
    with state.lock():
        stopped = instance.stop(state)
    note("Plumbline has stopped." if stopped else "Plumbline does not run.")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Whether it runs and every stage can serve. Exit code 0 if so, else 1."""
    from serve_app.cli import instance
    from serve_app.cli.state import StateFolder
    from serve_app.settings import load_settings

    state = StateFolder.of(load_settings())
    running = state.running()
    body = instance.health(running.url) if running else None
    ready = body is not None and body.get("status") == "ok"
    stages = body.get("stages", []) if body else []
    phase = state.phase() if running else None
    if as_json:
        facts = {
            "running": running is not None,
            "ready": ready,
            "url": running.url if running else None,
            "phase": phase.text if phase else None,
        }
        more = (
            running.model_dump(include={"pid", "port", "database", "log", "config", "started_at"})
            if running
            else {}
        )
        result(json.dumps({**facts, **more, "data_dir": str(state.path), "stages": stages}, indent=1))
    elif running is None:
        result("Plumbline does not run. Start it with `plumbline up`.")
    else:
        state_word = "ready" if ready else "not ready"
        result(f"{state_word}  {running.url}  (process {running.pid}, {running.database} database)")
        if not ready and phase is not None:
            result(f"  {phase.text}")
        for stage in stages:
            result(f"  {'ok ' if stage['ok'] else 'NOT'}  {stage['stage']}: {stage['detail']}")
    if not ready:
        raise typer.Exit(EXIT_FAILED)


def database_url() -> None:
    """Print the URL of the database that is asked, with the role that may only SELECT."""
    from serve_app.cli import instance
    from serve_app.cli.state import StateFolder
    from serve_app.settings import load_settings

    settings = load_settings()
    result(instance.reader_dsn(settings, StateFolder.of(settings)))
