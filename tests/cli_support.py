"""How a command ended, what a test's server is told and asked, and commands in a process of their own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line of a failure; fails if there is another number of lines."""
        (line,) = self.err.splitlines()
        return line


Cli = Callable[..., Ended]


@dataclass
class Server:
    """Answers every call with ``status`` and ``body``; remembers what it was asked."""

    url: str = ""
    status: int = 200
    body: Any = None
    asked: list[tuple[str, Any]] = field(default_factory=list)


START_TIMEOUT_S = 400


@dataclass(frozen=True)
class Operator:
    """Runs commands as an operator would, with this environment."""

    environment: dict[str, str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def status(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return facts

    def run(self, *arguments: str, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "serve_app.cli", *arguments],
            input=given,
            capture_output=True,
            text=True,
            env=self.environment | more,
            timeout=START_TIMEOUT_S,
        )


@contextmanager
def fresh_operator() -> Iterator[Operator]:
    """With an empty data folder and a free port; nothing runs yet, and nothing is left running."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-operator-"))
    # The embedded server's unprivileged user must be able to enter.
    folder.chmod(0o711)
    port = free_port()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PLUMBLINE_", "DATABASE_"))
    }
    operator = Operator(
        kept | {"PLUMBLINE_DATA_DIR": str(folder / "state"), "PLUMBLINE_PORT": str(port), "COLUMNS": "160"},
        port,
    )
    try:
        yield operator
    finally:
        operator.run("down")
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
