"""Numbers written as digits or words: the part that dates and amounts share."""

import re
from decimal import Decimal
from typing import Final

# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
UNITS: Final = {word: value for value, word in enumerate(_SMALL)}
TENS: Final = {word: 10 * value for value, word in enumerate(_TENS, start=2)}
SCALES: Final = {
    "hundred": 100, "thousand": 1000, "grand": 1000, "million": 10**6, "mil": 10**6, "mill": 10**6,
    "mln": 10**6, "mio": 10**6,
    "billion": 10**9, "bn": 10**9, "mrd": 10**9, "lakh": 10**5, "crore": 10**7, "cr": 10**7,
    "thousands": 1000, "millions": 10**6, "billions": 10**9,
}
SUFFIX_SCALES: Final = {
    "k": 1000, "m": 10**6, "mm": 10**6, "mil": 10**6, "mio": 10**6, "mln": 10**6, "bn": 10**9, "b": 10**9,
    "mrd": 10**9, "cr": 10**7,
}
# fmt: on

_MAX_DIGITS: Final = 20  # what is longer is no amount
DIGITS: Final = re.compile(
    r"(-)?(\$\s?)?((?:\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}|\d+)(?:\.\d+)?)([a-z]+)?$"
)


def small_integer(word: str) -> int | None:
    """``word`` as a whole number below a million, digits or one number word; None otherwise."""
    if word.isdigit():
        return int(word) if len(word) <= 6 else None
    return UNITS.get(word) if word in UNITS else TENS.get(word)


def words_number(words: list[str], i: int) -> tuple[int, Decimal] | None:
    """End and value of a number in words at ``i``: "two and a half million", "one point five"."""
    total, part, first = Decimal(0), Decimal(0), i
    while i < len(words):
        word = words[i]
        if (small := _small_part(word, part, i == first)) is not None:
            part += small
        elif word == "dozen":
            part = (part or Decimal(1)) * 12
        elif word in SCALES and (i > first or word in {"hundred", "thousand", "million"}):
            part = (part or Decimal(1)) * SCALES[word]
            if SCALES[word] >= 1000:
                total, part = total + part, Decimal(0)
        elif word == "point" and i > first and (decimals := spoken_decimals(words, i)):
            part += Decimal(f"0.{decimals}")
            i += len(decimals)
        elif word == "and" and i > first and (joined := _joined_part(words, i + 1, first, total + part)):
            part += joined[1]
            i += joined[0]
        else:
            break
        i += 1
    return (i, total + part) if i > first else None


def spoken_decimals(words: list[str], i: int) -> str:
    """The digits said behind the "point" at ``i``, none if it is no decimal point."""
    digits = ""
    for word in words[i + 1 :]:
        if UNITS.get(word, 10) >= 10:
            break
        digits += str(UNITS[word])
    return digits


def _small_part(word: str, part: Decimal, is_first: bool) -> int | None:
    """A number below a hundred that can follow ``part``: "five" after "seventy" or "two hundred"."""
    if word in TENS:
        return TENS[word] if is_first or part % 100 == 0 else None
    if word not in UNITS:
        return None
    after_tens = part % 10 == 0 and part % 100 >= 20 and UNITS[word] < 10
    return UNITS[word] if is_first or part % 100 == 0 or after_tens else None


def _joined_part(words: list[str], i: int, first: int, value: Decimal) -> tuple[int, Decimal] | None:
    """What "and" adds, and how many words it takes: "two hundred and five", "two and a half"."""
    word, behind = words[i] if i < len(words) else "", words[i + 1] if i + 1 < len(words) else ""
    scale = SCALES.get(words[i - 2], 1)
    if word == "a" and behind in {"half", "quarter"}:
        share = Decimal("0.5") if behind == "half" else Decimal("0.25")
        # "Two hundred and a half" is 200.5, "a million and a half" a million more by half.
        return 2, share * scale if scale >= 1000 else share
    if value < 100 or value % 100:
        return None
    small = _small_part(word, Decimal(0), True)
    return (1, Decimal(small)) if small is not None and _belongs(words, i, first, scale) else None


def _belongs(words: list[str], i: int, first: int, scale: int) -> bool:
    """Whether the number at ``i``, behind "and", is part of the one that began at ``first``.

    It is below the scale of that ("five million and ten million" are two), and of "between … and …" the
    first "and" parts unless another follows.
    """
    end = i
    while end < len(words) and (words[end] in UNITS or words[end] in TENS):
        end += 1
    own, last = 1, end
    while last < len(words) and words[last] in SCALES:
        own *= SCALES[words[last]]
        last += 1
    hundreds = scale == 100 and end < len(words) and words[end] != "hundred"
    if own >= scale and not hundreds:
        return False
    opened = "between" in words[max(0, first - 2) : first]
    return not opened or words[last : last + 1] == ["and"]


def digits_number(word: str) -> tuple[Decimal, str, bool] | None:
    """Value, letters behind it ("k", "th") and whether it has a currency sign; None if not a number."""
    match = DIGITS.match(word)
    if match is None or len(match.group(3)) > _MAX_DIGITS:
        return None
    value = Decimal(match.group(3).replace(",", ""))
    return (-value if match.group(1) else value), match.group(4) or "", bool(match.group(2))


def plain(value: Decimal) -> str:
    """A decimal literal without exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
