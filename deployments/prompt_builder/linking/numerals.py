"""Numbers written as digits or words: the part that dates and amounts share."""

import re
from decimal import Decimal, InvalidOperation

UNITS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
TENS = {
    word: 10 * (index + 2)
    for index, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    )
}
SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "grand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "mil": 10**6,
    "mill": 10**6,
    "mln": 10**6,
    "bn": 10**9,
}
SUFFIX_SCALES = {"k": 1000, "m": 10**6, "mm": 10**6, "mil": 10**6, "mln": 10**6, "bn": 10**9, "b": 10**9}

DIGITS = re.compile(r"(-)?(\$\s?)?((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)([a-z]+)?$")


def small_integer(word: str) -> int | None:
    """``word`` as a whole number below a million, digits or one number word; None otherwise."""
    if word.isdigit():
        return int(word) if len(word) <= 6 else None
    return UNITS.get(word) if word in UNITS else TENS.get(word)


def words_number(words: list[str], i: int) -> tuple[int, Decimal] | None:
    """A number in words ("two and a half million", "seventy five") from position ``i``: the end and the value."""
    start, total, current, seen = i, Decimal(0), Decimal(0), False
    count = len(words)
    while i < count:
        word = words[i]
        if word in UNITS and (not seen or current % 100 == 0 or (current % 10 == 0 and current % 100 >= 20)):
            if seen and UNITS[word] >= 10 and current % 100:
                break
            current += UNITS[word]
        elif word in TENS and (not seen or current % 100 == 0):
            current += TENS[word]
        elif word == "dozen":
            current = (current or Decimal(1)) * 12
        elif word in SCALES:
            scale = SCALES[word]
            if not seen and i == start and word != "hundred" and word != "thousand" and word != "million":
                break
            current = (current or Decimal(1)) * scale
            if scale >= 1000:
                total, current = total + current, Decimal(0)
        elif word == "and" and seen and i + 1 < count and _continues(words, i + 1, total + current):
            if words[i + 1] == "a":
                half = Decimal("0.5") if words[i + 2] == "half" else Decimal("0.25")
                current += half
                i += 3
                continue
        else:
            break
        seen = True
        i += 1
    return (i, total + current) if seen else None


def _continues(words: list[str], i: int, value: Decimal) -> bool:
    """Whether "and" joins two parts of one number: "two hundred and five", "two and a half"."""
    if words[i] == "a":
        return i + 1 < len(words) and words[i + 1] in {"half", "quarter"}
    return value >= 100 and value % 100 == 0 and (words[i] in UNITS or words[i] in TENS)


def digits_number(word: str) -> tuple[Decimal, str, bool] | None:
    """Value, letters behind it ("k", "th", …) and whether it carries a currency sign; None if not a number."""
    match = DIGITS.match(word)
    if match is None:
        return None
    try:
        value = Decimal(match.group(3).replace(",", ""))
    except InvalidOperation:  # pragma: no cover - the pattern admits only decimals
        return None
    return (-value if match.group(1) else value), match.group(4) or "", bool(match.group(2))


def plain(value: Decimal) -> str:
    """A decimal literal without exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
