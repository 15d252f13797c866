"""The process behind `plumbline up`: keeps a server running, and starts it again when Ray or Serve is lost.

    python -m serve_app.cli.supervisor CONFIG HOST PORT DATA_FOLDER RAY_FOLDER

It imports nothing of Ray, so that nothing of Ray can take it along.
"""

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from serve_app.cli.processes import kill_all, processes_of
from serve_app.cli.state import SERVING, Phase, StateFolder

POLL_S = 0.25
# Before each further start; a server that then fails once more is not started again.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)
# A server that served for so long failed for a new reason.
STEADY_S = 600.0
# A server that serves says so every few seconds; importing and starting Ray says nothing for a while.
SERVING_SILENCE_S = 40.0
STARTING_SILENCE_S = 180.0
# Serve drains for up to 20 s.
END_TIMEOUT_S = 45.0


class StartFailed(Exception):
    """No server can be started; the message is for the operator."""


def claim_port(port: int) -> int:
    """Hold the port for this process; the descriptor of the lock, which ends with the process.

    Serve lets several proxies share a port, so two instances that start at the same time would answer each
    other's requests without noticing.

    Raises:
        StartFailed: another instance holds the port.
    """
    path = Path(tempfile.gettempdir()) / f"plumbline-port-{port}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except PermissionError:
        # Another user's file in a shared folder may be read, but not opened for creation.
        descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StartFailed(
            f"another Plumbline instance uses port {port}; stop it, or choose another with PLUMBLINE_PORT"
        ) from None
    return descriptor


class Ended(NamedTuple):
    """How a server ended by itself. ``served_s``: how long it had served, None if never."""

    reason: str
    usage: bool
    served_s: float | None


class Supervisor:
    """One server at a time, until told to end, or until starting again does not help."""

    def __init__(
        self,
        command: list[str],
        port: int,
        state: StateFolder,
        ray_folder: Path,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._command = command
        self._port = port
        self._state = state
        self._ray_folder = ray_folder
        self._pauses_s = pauses_s
        self._stop = threading.Event()
        self._claim: int | None = None

    def run(self) -> int:
        """Supervise until told to end; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            self._claim = claim_port(self._port)
        except StartFailed as error:
            return self._give_up(str(error))
        has_served, failures = False, 0
        while (ended := self._serve()) is not None:
            if ended.served_s is None and not has_served:
                return self._give_up(ended.reason, ended.usage)
            has_served = True
            failures = 1 if (ended.served_s or 0.0) >= STEADY_S else failures + 1
            if failures > len(self._pauses_s):
                return self._give_up(f"{ended.reason}; started again {failures - 1} times in vain")
            pause_s = self._pauses_s[failures - 1]
            self._tell(f"starting again in {pause_s:g} s: {ended.reason}")
            self._forget_sessions()
            if self._stop.wait(pause_s):
                break
        return 0

    def _give_up(self, message: str, usage: bool = False) -> int:
        self._state.write_phase(Phase(text="failed", error=message, usage=usage))
        return 1

    def _tell(self, text: str) -> None:
        self._state.write_phase(Phase(text=text))
        print(text, file=sys.stderr, flush=True)

    def _serve(self) -> Ended | None:
        """Run one server to its end and end what is left of it; None if this process was told to end."""
        self._tell("starting the server")
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        try:
            return self._watch(process)
        finally:
            if self._stop.is_set():
                _end(process)
            kill_all([*processes_of(str(self._ray_folder))])
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _watch(self, process: "subprocess.Popen[bytes]") -> Ended | None:
        served_at: float | None = None
        written_at, heard_at = 0, time.monotonic()
        while not self._stop.wait(POLL_S):
            now = time.monotonic()
            code = process.poll()
            phase = self._state.phase() or Phase(text="")
            if (phase.text == SERVING or phase.served) and served_at is None:
                served_at = now
            if self._state.phase_written_at() != written_at:
                written_at, heard_at = self._state.phase_written_at(), now
            reason = phase.reason
            if reason is None and code is not None:
                reason = f"the server has ended (exit code {code})"
            elif reason is None and now - heard_at > _patience_s(served_at):
                reason = f"the server has said nothing for {now - heard_at:.0f} s"
            if reason is not None:
                return Ended(reason, phase.usage, None if served_at is None else now - served_at)
        return None

    def _forget_sessions(self) -> None:
        """Remove the folders of Ray's sessions but the last one, whose logs tell why it ended."""
        sessions = sorted(path for path in self._ray_folder.glob("session_2*") if not path.is_symlink())
        for path in sessions[:-1]:
            shutil.rmtree(path, ignore_errors=True)


def _patience_s(served_at: float | None) -> float:
    return STARTING_SILENCE_S if served_at is None else SERVING_SILENCE_S


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print("the server did not end in time", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    # What a process knows when it dies stays on no disk; all that this one starts inherit it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, _, port, folder, ray_folder = arguments
    command = [sys.executable, "-m", "serve_app.cli.server", *arguments]
    return Supervisor(command, int(port), StateFolder(Path(folder)), Path(ray_folder)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
