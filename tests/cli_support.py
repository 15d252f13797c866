"""How a command ended, what a test's server is told and asked, and commands in a process of their own."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
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

    def run(self, *arguments: str, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "serve_app.cli", *arguments],
            input=given,
            capture_output=True,
            text=True,
            env=self.environment | more,
            timeout=START_TIMEOUT_S,
        )
