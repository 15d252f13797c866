"""How a command ended, and what a test's server is told and asked."""

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
