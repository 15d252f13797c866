"""Words of the text form of a query specification."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from deployments.prompt_builder.query_spec.errors import SpecError

T = TypeVar("T")

LexemeKind = Literal["name", "quoted", "number", "text", "symbol", "end"]

MAX_TEXT_CHARACTERS: Final = (
    20_000  # a specification is a few hundred characters; this only bounds hostile input
)

_LEXEME: Final = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<text>'(?:[^']|'')*')
      | (?P<symbol><=|>=|!=|<>|[-+*/=<>(),.\[\]])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One word; ``value`` is unquoted, ``start`` its offset in the text."""

    kind: LexemeKind
    value: str
    start: int


def lex(text: str) -> list[Lexeme]:
    """Split a text; the last lexeme is ``end``.

    Raises:
        SpecError: a character that starts no word, or a text that is too long.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise SpecError(
            f"the specification has {len(text)} characters", None, f"at most {MAX_TEXT_CHARACTERS}"
        )
    lexemes: list[Lexeme] = []
    position = 0
    while True:
        match = _LEXEME.match(text, position)
        if match is None or match.lastgroup is None:
            raise SpecError(f"unexpected character {text[position : position + 10].strip()[:1]!r}", position)
        kind: LexemeKind = match.lastgroup  # type: ignore[assignment]  # the group names are the kinds
        lexemes.append(Lexeme(kind, _value(kind, match[kind]), match.start(kind)))
        if kind == "end":
            return lexemes
        position = match.end()


def _value(kind: LexemeKind, raw: str) -> str:
    if kind == "quoted":
        return raw[1:-1].replace('""', '"')
    if kind == "text":
        return raw[1:-1].replace("''", "'")
    return "!=" if raw == "<>" else raw


class LexemeReader:
    """A place in a text's lexemes, with one step of lookahead and errors that name the place."""

    def __init__(self, text: str) -> None:
        self.lexemes = lex(text)
        self.at = 0

    @property
    def here(self) -> Lexeme:
        return self.lexemes[self.at]

    def ahead(self, steps: int) -> Lexeme:
        return self.lexemes[min(self.at + steps, len(self.lexemes) - 1)]

    def is_at(self, *words: str) -> bool:
        return self.here.kind in {"name", "symbol"} and self.here.value in words

    def accept(self, *words: str) -> str | None:
        if not self.is_at(*words):
            return None
        self.at += 1
        return self.lexemes[self.at - 1].value

    def expect(self, *words: str) -> str:
        found = self.accept(*words)
        if found is None:
            raise self.error(f"unexpected {self.here.value or 'end'!r}", " or ".join(words))
        return found

    def expect_end(self) -> None:
        if self.here.kind != "end":
            raise self.error(f"unexpected {self.here.value!r}", "the end of the specification")

    def error(self, what: str, allowed: str | None = None) -> SpecError:
        return SpecError(what, self.here.start, allowed)

    def listed(self, item: Callable[[], T]) -> tuple[T, ...]:
        items = [item()]
        while self.accept(","):
            items.append(item())
        return tuple(items)
