"""What the command line prints: results on standard output, everything else on standard error."""

import sys
from typing import NoReturn, TextIO
from unicodedata import category

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CLARIFICATION = 3
EXIT_INTERRUPTED = 130
KEPT = "\n\t"


class CliError(Exception):
    """Ends a command with one clear line and an exit code."""

    def __init__(self, message: str, code: int = EXIT_USAGE) -> None:
        self.message = message
        self.code = code
        super().__init__(message)


def fail(message: str, code: int = EXIT_USAGE) -> NoReturn:
    raise CliError(message, code)


def result(text: str) -> None:
    sys.stdout.write(_for_reader(text, sys.stdout) + "\n")


def note(text: str) -> None:
    sys.stderr.write(_for_reader(text, sys.stderr) + "\n")
    sys.stderr.flush()


def _for_reader(text: str, stream: TextIO) -> str:
    """What a program reads stays as it is; a terminal is told nothing that it would obey."""
    return printable(text) if stream.isatty() else text


def printable(text: str) -> str:
    """Text of others without what a terminal would obey (escape sequences) or hide."""
    return "".join(c if c.isprintable() or c in KEPT or category(c) == "Zs" else "\ufffd" for c in text)
