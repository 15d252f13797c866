"""The supervisor over stand-ins for the server: what it makes of each way in which one can end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from serve_app.cli import supervisor as supervisors
from serve_app.cli.processes import MARK, kill_all, processes_of
from serve_app.cli.state import Phase, StateFolder
from serve_app.cli.supervisor import Supervisor
from tests.cli_support import free_port

DEADLINE_S = 60.0
# Counts its starts, and does what the argument of its number says.
SERVER = """
import json, os, signal, subprocess, sys, time
folder, *acts = sys.argv[1:]
count = os.path.join(folder, "count")
number = len(open(count).read()) if os.path.exists(count) else 0
open(count, "a").write("x")
def tell(**phase):
    path = os.path.join(folder, "phase.json")
    open(path + ".part", "w").write(json.dumps(phase))
    os.rename(path + ".part", path)
act = acts[min(number, len(acts) - 1)]
if act == "fail to start":
    tell(text="failed", reason="Generator did not start: no weights", usage=True)
    sys.exit(1)
tell(text="serving")
if act == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
if act == "fail":
    tell(text="failed", reason="Serve stopped answering", served=True)
    signal.pause()
if act == "leave a child":
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    sys.exit(3)
if act == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()
while True:
    tell(text="serving")
    time.sleep(0.05)
"""


class Supervised:
    """A supervisor in a thread of this process, over the stand-in."""

    def __init__(self, folder: Path, *acts: str, pauses_s: tuple[float, ...] = (0.01, 0.01)) -> None:
        self.state = StateFolder(folder)
        command = [sys.executable, "-c", SERVER, str(folder), *acts]
        self.supervisor = Supervisor(command, free_port(), self.state, folder / "ray", pauses_s)
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Supervised":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor._stop.set()
        self._thread.join(DEADLINE_S)

    def _run(self) -> None:
        self.code = self.supervisor.run()

    @property
    def starts(self) -> int:
        count = self.state.path / "count"
        return len(count.read_text()) if count.exists() else 0

    def until(self, condition: Callable[[], bool]) -> None:
        ends = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < ends, self.state.phase()
            time.sleep(0.01)

    def final(self) -> Phase:
        self.until(lambda: self.code is not None)
        phase = self.state.phase()
        assert phase is not None
        return phase

    def serves_again(self, starts: int) -> None:
        self.until(lambda: self.starts == starts and self.state.phase() == Phase(text="serving"))


@pytest.fixture(autouse=True)
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As `plumbline up` marks what it starts; signals stay those of the test run."""
    monkeypatch.setenv(MARK, str(tmp_path / "ray"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    yield
    kill_all(processes_of(str(tmp_path / "ray")))


@pytest.mark.parametrize("act", ["crash", "fail", "leave a child"])
def test_a_server_that_is_lost_is_started_again(tmp_path: Path, act: str) -> None:
    with Supervised(tmp_path, act, "serve") as supervised:
        supervised.serves_again(starts=2)
        assert len(processes_of(str(tmp_path / "ray"))) == 1
    assert supervised.code == 0
    assert processes_of(str(tmp_path / "ray")) == []


def test_a_server_that_says_nothing_any_more_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors, "SERVING_SILENCE_S", 2.0)
    with Supervised(tmp_path, "hang", "serve") as supervised:
        supervised.serves_again(starts=2)


def test_a_first_start_that_fails_is_final(tmp_path: Path) -> None:
    with Supervised(tmp_path, "fail to start") as supervised:
        phase = supervised.final()
    assert (phase.error, phase.usage) == ("Generator did not start: no weights", True)
    assert (supervised.starts, supervised.code) == (1, 1)


def test_later_starts_that_fail_are_repeated_and_then_given_up(tmp_path: Path) -> None:
    with Supervised(tmp_path, "crash", "fail to start") as supervised:
        phase = supervised.final()
    assert phase.error == "Generator did not start: no weights; started again 2 times in vain"
    assert (supervised.starts, supervised.code) == (3, 1)


def test_a_server_that_served_for_long_begins_with_short_pauses_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors, "STEADY_S", 0.0)
    with Supervised(tmp_path, *["crash"] * 4, "serve", pauses_s=(0.01, 0.01)) as supervised:
        supervised.serves_again(starts=5)


def test_the_pause_and_its_reason_are_told(tmp_path: Path) -> None:
    with Supervised(tmp_path, "fail", pauses_s=(30.0,)) as supervised:
        supervised.until(lambda: "starting again" in getattr(supervised.state.phase(), "text", ""))
        phase = supervised.state.phase()
    assert phase is not None
    assert (phase.text, phase.error) == ("starting again in 30 s: Serve stopped answering", None)
    assert supervised.code == 0


def test_the_last_session_of_ray_is_kept_for_its_logs(tmp_path: Path) -> None:
    for name in ("session_2026-01-01", "session_2026-01-02"):
        (tmp_path / "ray" / name).mkdir(parents=True)
    with Supervised(tmp_path, "crash", "serve") as supervised:
        supervised.serves_again(starts=2)
    assert [path.name for path in (tmp_path / "ray").iterdir()] == ["session_2026-01-02"]


def test_processes_are_found_by_their_mark_wherever_they_are(tmp_path: Path) -> None:
    child = [sys.executable, "-c", "print(1, flush=True); import signal; signal.pause()"]
    starter = f"import subprocess; subprocess.Popen({child!r}, start_new_session=True)"
    mark = str(tmp_path / "other")
    subprocess.run([sys.executable, "-c", starter], env=os.environ | {MARK: mark}, check=True, stdout=-3)
    (orphan,) = processes_of(mark)
    assert orphan.parent() != psutil.Process()
    kill_all([orphan])
    assert processes_of(mark) == []
