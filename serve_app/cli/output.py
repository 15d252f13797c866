"""What the command line prints: results on standard output, everything else on standard error."""

import sys
from typing import NoReturn

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CLARIFICATION = 3
EXIT_INTERRUPTED = 130


class CliError(Exception):
    """Ends a command with one clear line and an exit code."""

    def __init__(self, message: str, code: int = EXIT_USAGE) -> None:
        self.message = message
        self.code = code
        super().__init__(message)


def fail(message: str, code: int = EXIT_USAGE) -> NoReturn:
    raise CliError(message, code)


def result(text: str) -> None:
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """Text of a database without what a terminal would obey (escape sequences) or hide."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
