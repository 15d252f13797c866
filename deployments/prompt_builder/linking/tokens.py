"""Cutting a question into canonical lower-case words that remember where they stood."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

_PLAIN: Final = {
    **dict.fromkeys("\u2018\u2019\u201b\u2032", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u00a0\u202f\u2009", " "),
    **dict.fromkeys("\u20ac\u00a3", "$"),
    "\u00f7": "/",
}
_SYMBOLS: Final = {
    "%": ("percent",),
    "$": ("dollars",),
    "#": ("number",),
    "&": ("and",),
    "<": ("less", "than"),
    ">": ("more", "than"),
    "<=": ("at", "most"),
    "=<": ("at", "most"),
    ">=": ("at", "least"),
    "=>": ("at", "least"),
    "\u2264": ("at", "most"),
    "\u2265": ("at", "least"),
    ";": (",",),
    "?": (".",),
    "!": (".",),
    "w/o": ("without",),
    "w/": ("with",),
    "w/e": ("week", "ending"),
    "w/c": ("week", "commencing"),
    **{sign: (sign,) for sign in ",:().-/=+"},
}
PUNCTUATION: Final = frozenset(",:().-/=+")

_TOKEN: Final = r"""
    \d{1,3}(?:/\d{1,3}){2,}(?![\d/])
  | \d{4}-\d{1,2}-\d{1,2}(?!\d) | \d{4}-(?:0[1-9]|1[0-2])(?![\d-]) | \d{1,2}-\d{1,2}-\d{4}(?!\d)
  | \d{1,2}/\d{1,2}/(?:\d{4}|\d{2})(?!\d) | \d{4}/\d{1,2}/\d{1,2}(?!\d)
  | \d{1,2}/\d{1,3}(?![\d/]) | \d{1,2}/\d{4}(?![\d/])
  | \d{1,2}\.\d{1,2}\.\d{4}(?!\d) | \d[qh]\d{2}(?!\w) | \d{4}q[1-4](?!\w)
  | (?:(?<=\s)-|^-)?(?:\$\s?)?
    (?:\d{1,3}(?:,\d{3})+(?![,\d])|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)|\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?
    (?:(?:st|nd|rd|th|k|mm?|mil|mio|mln|mrd|cr|bn|b|x|h|hrs?|pct|am|pm|kg|d)(?![^\W_]))?
  | (?<=\s)'\d\d(?!\d) | w/[oce](?![^\W_]) | w/
  | [^\W\d_]+(?:'[^\W\d_]+)*\d*
  | <= | >= | =< | => | [%$\#&+<>=/,;:().?!\u2264\u2265-]
"""
_MONTH: Final = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*$")
_PART: Final = re.compile(r"[qh][1-4]$")
_SPAN_WORD: Final = re.compile(
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*$|[qh][1-4]$"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day$"
)


@dataclass(slots=True)
class Words:
    """Canonical words of a question and, in step, their offsets and whether they began with a capital."""

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

    def replace(self, first: int, last: int, pieces: list[tuple[str, int, int]]) -> None:
        """Put ``pieces`` (word, offsets) in place of the words ``first`` up to, not including, ``last``."""
        self.text[first:last] = [word for word, _, _ in pieces]
        self.start[first:last] = [start for _, start, _ in pieces]
        self.end[first:last] = [end for _, _, end in pieces]
        self.capital[first:last] = [self.capital[first]] * len(pieces)

    def drop(self, i: int) -> None:
        del self.text[i], self.start[i], self.end[i], self.capital[i]

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Offsets of the words ``first`` up to, not including, ``last``."""
        return self.start[first], self.end[last - 1]

    def all_capital(self) -> bool:
        """True for a title or a question in capitals, where a capital letter shows no name."""
        return all(c for c, w in zip(self.capital, self.text, strict=True) if w.isalpha())


def fold(question: str) -> str:
    """Lower case, plain quotes and dashes, no accents; the result has the length of the question."""
    if question.isascii():
        return question.lower()
    return "".join(map(_fold_char, question))


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
    """The token expression; ``code_patterns`` are those of stored codes, tried first."""
    codes = "".join(f"(?:{pattern})|" for pattern in code_patterns)
    return re.compile(codes + _TOKEN, re.VERBOSE)


def symbol(token: str) -> tuple[str, ...] | None:
    """The words for a sign; None if the token is none."""
    return _SYMBOLS.get(token)


def settle_symbols(words: Words) -> Words:
    """Give signs their meaning from their neighbours.

    A hyphen between numbers, months or quarters is "to", inside a word it goes, between words it is a pause;
    a plus behind a number is "or more"; "then" behind a comparative is "than".
    """
    text = words.text
    for i in range(len(text) - 1, -1, -1):
        word = text[i]
        if word == "-":
            _settle_hyphen(words, i)
        elif word == "+" and i and text[i - 1][0] in "$0123456789" and words.end[i - 1] == words.start[i]:
            text[i] = "or more"
        elif word == "then" and i and (text[i - 1].endswith("er") or text[i - 1] in {"more", "less"}):
            text[i] = "than"
    return words


def _settle_hyphen(words: Words, i: int) -> None:
    text = words.text
    if not 0 < i < len(text) - 1:
        words.drop(i)
        return
    before, after = text[i - 1], text[i + 1]
    if _PART.match(before) and after.isdigit() and len(after) in {2, 4} and _touching(words, i):
        words.drop(i)  # "Q1-26" is the quarter of a year
        return
    numbers = before[-1].isdigit() and (after[0].isdigit() or after[0] == "$")
    days = before[-1].isdigit() and i > 1 and _MONTH.match(text[i - 2]) and _MONTH.match(after)
    days = days or (_MONTH.match(before) and after.isdigit() and _MONTH.match("".join(text[i + 2 : i + 3])))
    if numbers or days or (_SPAN_WORD.match(before) and _SPAN_WORD.match(after)):
        text[i] = "to"
    elif words.end[i - 1] < words.start[i] and words.end[i] < words.start[i + 1]:
        text[i] = ","
    else:
        words.drop(i)


def _touching(words: Words, i: int) -> bool:
    return words.end[i - 1] == words.start[i] and words.end[i] == words.start[i + 1]
