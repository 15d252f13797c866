"""What a terminal is told, and what a program reads."""

import io
import sys

import pytest

from serve_app.cli.output import note, printable, result

TEXT = "caf\u00e9\u00a0\u20ac \x1b[2J\x9b31m \u202egnp.exe\nsecond\tline"
SHOWN = "caf\u00e9\u00a0\u20ac \ufffd[2J\ufffd31m \ufffdgnp.exe\nsecond\tline"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_terminal_is_told_nothing_that_it_would_obey(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    say = result if stream == "stdout" else note
    for kind, expected in ((Terminal(), SHOWN), (io.StringIO(), TEXT)):
        monkeypatch.setattr(sys, stream, kind)
        say(TEXT)
        assert kind.getvalue() == expected + "\n"


def test_what_is_printable_stays() -> None:
    assert printable(SHOWN) == SHOWN
