"""Figures as other hands write them, brought to one form before numbers are read.

Thousands set off by points ("1.500.000", "10.000 dollars"), a decimal comma ("1,5 million", "8,5 hours") and
lists with slashes ("30/60/90") become what the readers know: "1,500,000", "1.5", "30 , 60 , 90".
"""

import re
from datetime import date
from itertools import pairwise
from typing import Final

from deployments.prompt_builder.linking.amounts import UNIT_KINDS
from deployments.prompt_builder.linking.numerals import SCALES, SUFFIX_SCALES, digits_number
from deployments.prompt_builder.linking.tokens import Words

_SLASHED: Final = re.compile(r"\d{1,3}(?:/\d{1,3})+$")
_POINTED: Final = re.compile(r"\$?\d{1,3}\.\d{3}$")
_THREE: Final = re.compile(r"\d{3}$")
_WHOLE: Final = re.compile(r"\$?\d{1,3}$")
_DECIMALS: Final = re.compile(r"(\d{1,2})([a-z]*)$")
_LEAP_YEAR: Final = 2024


def settle_figures(words: Words) -> Words:
    """Merge and split the figures of a question in place; offsets stay true."""
    text = words.text
    for i in range(len(text) - 1, -1, -1):
        word = text[i]
        if not (word[0].isdigit() or word[0] == "$"):
            continue
        if "/" in word:
            _split_list(words, i)
        elif "." in word:
            _join_thousands(words, i)
        elif i + 2 < len(text) and text[i + 1] == ",":
            _join_decimals(words, i)
    return words


def _split_list(words: Words, i: int) -> None:
    """Rising numbers that are no date."""
    word = words.text[i]
    parts = word.split("/")
    numbers = [int(part) for part in parts] if _SLASHED.match(word) else []
    if not all(a < b for a, b in pairwise(numbers)) or _may_be_date(numbers):
        return
    pieces: list[tuple[str, int, int]] = []
    at = words.start[i]
    for k, part in enumerate(parts):
        if k:
            pieces.append((",", at - 1, at))
        pieces.append((part, at, at + len(part)))
        at += len(part) + 1
    words.replace(i, i + 1, pieces)


def _may_be_date(numbers: list[int]) -> bool:
    """Whether they are a day and a month, in either order, perhaps with a year; or no list at all."""
    if len(numbers) < 2 or len(numbers) > 3 or numbers[0] == 0:
        return len(numbers) < 2
    first, second = numbers[:2]
    return _is_day(first, second) or _is_day(second, first)


def _is_day(month: int, day: int) -> bool:
    try:
        date(_LEAP_YEAR, month, day)
    except ValueError:
        return False
    return True


def _join_thousands(words: Words, i: int) -> None:
    """Two groups of three are thousands; one is where they are zeros or money follows."""
    text = words.text
    if not _POINTED.match(text[i]):
        return
    end, digits = i + 1, text[i].replace(".", ",")
    while end + 1 < len(text) and text[end] == "." and _THREE.match(text[end + 1]) and _touch(words, end):
        digits += f",{text[end + 1]}"
        end += 2
    money = end < len(text) and UNIT_KINDS.get(text[end]) == "money"
    if end > i + 1 or digits.endswith("000") or money:
        words.replace(i, end, [(digits, words.start[i], words.end[end - 1])])


def _join_decimals(words: Words, i: int) -> None:
    """A comma within a number that a scale or a unit follows; two decimals only of money and shares."""
    text = words.text
    decimals = _DECIMALS.match(text[i + 2])
    listed = (i > 0 and text[i - 1] == ",") or (i + 3 < len(text) and text[i + 3] == ",")
    if not _WHOLE.match(text[i]) or decimals is None or listed or not _touch(words, i + 1):
        return
    behind = text[i + 3] if i + 3 < len(text) else ""
    kind = UNIT_KINDS.get(behind)
    large = decimals[2] in SUFFIX_SCALES or (not decimals[2] and (behind in SCALES or kind in _FINE))
    one = len(decimals[1]) == 1
    if large or (one and (kind is not None or (decimals[2] and digits_number(text[i + 2]) is not None))):
        joined = f"{text[i]}.{text[i + 2]}"
        words.replace(i, i + 3, [(joined, words.start[i], words.end[i + 2])])


_FINE: Final = frozenset({"money", "percent"})


def _touch(words: Words, i: int) -> bool:
    """Whether no space parts the sign at ``i`` from its neighbours."""
    return words.end[i - 1] == words.start[i] and words.end[i] == words.start[i + 1]
