"""Cutting a question into canonical lower-case words that remember where they stood."""

import re
import unicodedata
from dataclasses import dataclass, field

_PLAIN = {
    "\u2018": "'", "\u2019": "'", "\u201b": "'", "\u2032": "'", "`": "'", "\u201c": '"', "\u201d": '"',
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "\u00a0": " ", "\u202f": " ", "\u00f7": "/", "\u20ac": "$", "\u00a3": "$",
}  # fmt: skip
_SYMBOLS = {
    "%": ("percent",),
    "$": ("dollars",),
    "#": ("number",),
    "&": ("and",),
    "+": ("+",),
    "<": ("less", "than"),
    ">": ("more", "than"),
    "<=": ("at", "most"),
    "=<": ("at", "most"),
    ">=": ("at", "least"),
    "=>": ("at", "least"),
    "\u2264": ("at", "most"),
    "\u2265": ("at", "least"),
    "=": ("=",),
    "/": ("/",),
    ",": (",",),
    ";": (",",),
    ":": (":",),
    "(": ("(",),
    ")": (")",),
    ".": (".",),
    "?": (".",),
    "!": (".",),
    "-": ("-",),
    "w/o": ("without",),
    "w/": ("with",),
}
PUNCTUATION = frozenset({",", ":", "(", ")", ".", "-", "/", "=", "+"})

_TOKEN = r"""
    \d{4}-\d{1,2}-\d{1,2}(?!\d) | \d{1,2}/\d{1,2}/(?:\d{4}|\d{2})(?!\d) | \d{4}/\d{1,2}/\d{1,2}(?!\d)
  | \d{1,2}/\d{1,2}(?![\d/])
  | \d{1,2}\.\d{1,2}\.\d{4}(?!\d) | \d[qh]\d{2}(?!\w) | \d{4}q[1-4](?!\w)
  | (?:(?<=\s)-|^-)?(?:\$\s?)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:(?:st|nd|rd|th|k|mm?|mil|mln|bn|b|x|h|hrs?|pct|am|pm|kg|d)(?![^\W_]))?
  | (?<=\s)'\d\d(?!\d) | w/o(?![^\W_]) | w/
  | [^\W\d_]+(?:'[^\W\d_]+)*\d*
  | <= | >= | =< | => | [%$\#&+<>=/,;:().?!\u2264\u2265-]
"""


@dataclass(slots=True)
class Words:
    """Canonical words of a question and, in step, their offsets and whether the original began with a capital."""

    source: str
    text: list[str] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    capital: list[bool] = field(default_factory=list)

    def add(self, words: tuple[str, ...], start: int, end: int, capital: bool = False) -> None:
        for word in words:
            self.text.append(word)
            self.start.append(start)
            self.end.append(end)
            self.capital.append(capital)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Offsets of the words ``first`` up to, not including, ``last``."""
        return self.start[first], self.end[last - 1]


def fold(question: str) -> str:
    """Lower case, plain quotes and dashes, no accents; the result has the length of the question."""
    if question.isascii():
        return question.lower()
    return "".join(_fold_char(c) for c in question)


def _fold_char(char: str) -> str:
    if char.isascii():
        return char.lower()
    if char in _PLAIN:
        return _PLAIN[char]
    if char in _SYMBOLS:
        return char
    base = unicodedata.normalize("NFKD", char)[0].lower()
    return base if len(base) == 1 and base.isalnum() else " "


def token_pattern(code_patterns: tuple[str, ...] = ()) -> re.Pattern[str]:
    """The token expression; ``code_patterns`` are expressions of stored codes (invoice numbers, say), tried first."""
    codes = "".join(f"(?:{pattern})|" for pattern in code_patterns)
    return re.compile(codes + _TOKEN, re.VERBOSE)


def symbol(token: str) -> tuple[str, ...] | None:
    return _SYMBOLS.get(token)
