import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from serve_app.cli import instance as instances
from serve_app.cli.output import CliError
from serve_app.cli.server import _last_line, _use_own_token
from serve_app.cli.state import Instance, Phase, StateFolder
from tests.cli_support import Cli, Server

# Ends on SIGTERM like a supervisor, with a child that does not.
FAMILY = """
import signal, subprocess, sys
ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
child = ignore + "; print(1, flush=True); signal.pause()"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
signal.pause()
"""


def make_instance(pid: int, tmp_path: Path, port: int = 1, started: float | None = None) -> Instance:
    return Instance(
        pid=pid,
        process_started=psutil.Process(pid).create_time() if started is None else started,
        host="127.0.0.1",
        port=port,
        config="c.yaml",
        database="external",
        log="server.log",
        ray_folder=str(tmp_path / "ray"),
        started_at="2026-01-01T00:00:00+00:00",
    )


@contextmanager
def family() -> Iterator[tuple[int, int]]:
    """A process and its stubborn child."""
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process.pid, child
    finally:
        for pid in (process.pid, child):
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    (tmp_path / "state").mkdir()
    return StateFolder(tmp_path / "state")


def test_nothing_runs_in_a_new_folder(cli: Cli) -> None:
    shown = cli("status")
    assert shown.code == 1
    assert "does not run" in shown.out
    facts = json.loads(cli("status", "--json").out)
    assert (facts["running"], facts["ready"], facts["url"]) == (False, False, None)
    assert "does not run" in cli("down").err
    ended = cli("database-url")
    assert ended.code == 1
    assert "plumbline up" in ended.error_line


def test_the_given_database_is_printed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://reader@db.example/x")
    assert cli("database-url").out == "postgresql://reader@db.example/x\n"


def test_a_taken_port_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PLUMBLINE_PORT", str(port))
        ended = cli("up", "--detach")
    assert ended.code == 2
    assert f"port {port} on 127.0.0.1 cannot be used" in ended.error_line
    assert "PLUMBLINE_PORT" in ended.error_line


def test_a_data_folder_that_cannot_be_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLUMBLINE_DATA_DIR", str(tmp_path / "file"))
    for command in ("up", "down"):
        ended = cli(command)
        assert ended.code == 2
        assert "PLUMBLINE_DATA_DIR" in ended.error_line
    assert "does not run" in cli("status").out


def test_a_second_up_says_where_the_first_is(
    cli: Cli, server: Server, state: StateFolder, tmp_path: Path
) -> None:
    state.write_instance(make_instance(os.getpid(), tmp_path, port=int(server.url.rpartition(":")[2])))
    state.write_phase(Phase(text="serving"))
    server.body = {"status": "ok", "stages": []}
    ended = cli("up", "--detach")
    assert (ended.code, ended.out) == (0, f"{server.url}\n")
    assert "already runs" in ended.error_line


def test_a_second_up_waits_until_the_first_is_ready(
    cli: Cli, server: Server, state: StateFolder, tmp_path: Path
) -> None:
    state.write_instance(make_instance(os.getpid(), tmp_path, port=int(server.url.rpartition(":")[2])))
    state.write_phase(Phase(text="serving"))
    late = {"stage": "executor", "ok": False, "detail": "The database is away."}
    server.body = {"status": "degraded", "stages": [late]}
    ended = cli("up", "--detach", "--timeout", "1")
    assert ended.code == 1
    assert "executor: The database is away." in ended.err.splitlines()[-1]
    assert state.running() is not None


class Database:
    """Stands for the embedded server: whether it runs."""

    def __init__(self, running: bool) -> None:
        self.running = running

    def is_running(self) -> bool:
        return self.running

    def start(self) -> None:
        assert not self.running
        self.running = True


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [("embedded", False, True), ("embedded", True, True), ("external", False, False)],
)
def test_a_lost_embedded_database_comes_back_with_a_second_up(
    state: StateFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    before: bool,
    after: bool,
) -> None:
    database = Database(before)
    monkeypatch.setattr(instances, "_database", lambda _: database)
    running = make_instance(os.getpid(), tmp_path).model_copy(update={"database": kind})
    instances.revive_database(running, state, lambda _: None)
    assert database.running is after


def test_status_asks_every_stage(cli: Cli, server: Server, state: StateFolder, tmp_path: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    state.write_instance(make_instance(os.getpid(), tmp_path, port=port))
    server.status = 503
    server.body = {
        "status": "degraded",
        "stages": [{"stage": "executor", "ok": False, "detail": "The database is away."}],
    }
    shown = cli("status")
    assert shown.code == 1
    assert "NOT  executor: The database is away." in shown.out
    server.body = {"status": "ok", "stages": []}
    facts = json.loads(cli("status", "--json").out)
    assert (facts["running"], facts["ready"], facts["url"]) == (True, True, server.url)


def test_a_reused_process_id_is_not_the_instance(state: StateFolder, tmp_path: Path) -> None:
    state.write_instance(make_instance(os.getpid(), tmp_path, started=1.0))
    assert state.instance() is not None
    assert state.running() is None


@pytest.mark.parametrize("text", ["", "{", '{"pid": "x"}'])
def test_a_damaged_record_counts_as_none(state: StateFolder, text: str) -> None:
    (state.path / "instance.json").write_text(text)
    (state.path / "phase.json").write_text(text)
    assert state.running() is None
    assert state.phase() is None


def test_down_ends_the_whole_family_and_its_folder(
    cli: Cli, state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "ORPHAN_TIMEOUT_S", 0.2)
    (tmp_path / "ray").mkdir()
    with family() as (parent, child):
        state.write_instance(make_instance(parent, tmp_path))
        assert "has stopped" in cli("down").err
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert state.instance() is None
    assert not (tmp_path / "ray").exists()


def test_a_failed_start_is_told_with_its_reason(state: StateFolder, tmp_path: Path) -> None:
    instance = make_instance(os.getpid(), tmp_path)
    state.write_phase(Phase(text="failed", error="Generator did not start: no weights"))
    with pytest.raises(CliError, match="no weights") as failed:
        instances.wait_until_ready(instance, state, 5.0, lambda _: None)
    assert failed.value.code == 1


def test_a_server_that_ends_while_starting_is_told(state: StateFolder, tmp_path: Path) -> None:
    instance = make_instance(os.getpid(), tmp_path, started=1.0)
    with pytest.raises(CliError, match=r"ended while starting; see server\.log"):
        instances.wait_until_ready(instance, state, 5.0, lambda _: None)


def test_waiting_ends(state: StateFolder, tmp_path: Path) -> None:
    state.write_phase(Phase(text="waiting for Generator"))
    told: list[str] = []
    with pytest.raises(CliError, match=r"not ready after 0\.01 s \(waiting for Generator\)"):
        instances.wait_until_ready(make_instance(os.getpid(), tmp_path), state, 0.01, told.append)
    assert told == ["waiting for Generator"]


def test_every_instance_has_a_token_of_its_own(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "elsewhere")
    tokens = set()
    for _ in range(2):
        _use_own_token(state.path)
        path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        tokens.add(path.read_text())
    assert len(tokens) == 2


@pytest.mark.parametrize(
    ("text", "line"), [("a\nValueError: x\n\n", "ValueError: x"), ("", "no reason was given")]
)
def test_the_last_line_names_the_error(text: str, line: str) -> None:
    assert _last_line(text) == line
