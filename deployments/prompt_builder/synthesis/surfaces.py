"""Surfaces: how numbers, dates and stored names are said. The linker reads them back; what it cannot read is
dropped.
"""

import random
from collections.abc import Sequence
from decimal import Decimal

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.slots import Slot
from deployments.prompt_builder.synthesis.templates import template
from deployments.prompt_builder.synthesis.world import Field

_WORDS = {
    1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine",
    10: "ten", 12: "twelve", 15: "fifteen", 20: "twenty", 30: "thirty", 50: "fifty", 60: "sixty",
    90: "ninety", 100: "a hundred",
}  # fmt: skip
_MANTISSAS = (1, 1, 1, 1.5, 2, 2, 2.5, 3, 4, 5, 5, 5, 6, 7.5, 8)


def count_slot(rng: random.Random, low: int = 2, high: int = 25) -> Slot:
    """A small whole number, as in "top 5"."""
    number = rng.choice((3, 3, 5, 5, 5, 10, 10, 10, rng.randint(low, high)))
    number = max(low, number)
    word = _WORDS.get(number)
    surface = word if word and number <= 20 and rng.random() < 0.35 else str(number)
    return Slot("N", surface, str(number))


def money_text(rng: random.Random, number: int) -> str:
    """10000 as $10,000, 10k, 10 grand, ten thousand …"""
    style = rng.random()
    plain = f"{number:,}" if rng.random() < 0.6 else str(number)
    if number >= 1_000_000 and number % 100_000 == 0 and style < 0.7:
        millions = (
            f"{Decimal(number) / 1_000_000:f}".rstrip("0").rstrip(".")
            if number % 1_000_000
            else str(number // 1_000_000)
        )
        unit = rng.choice(("m", "M", " million", " million", " mil", "mm"))
        if number == 1_000_000 and rng.random() < 0.3:
            return rng.choice(("a million", "one million", "a million dollars"))
        tail = " dollars" if unit == " million" and rng.random() < 0.3 else ""
        return f"{rng.choice(('$', '', ''))}{millions}{unit}{tail}" if not tail else f"{millions}{unit}{tail}"
    if number >= 1_000 and number % 500 == 0 and style < 0.65:
        thousands = f"{number / 1000:g}"
        if number % 1000 == 0 and number // 1000 in _WORDS and rng.random() < 0.15:
            return f"{_WORDS[number // 1000]} {rng.choice(('thousand', 'grand', 'thousand dollars'))}"
        unit = rng.choice(("k", "K", "k", " grand", "k"))
        return f"{rng.choice(('$', '', '')) if unit != ' grand' else ''}{thousands}{unit}"
    kind = rng.random()
    if kind < 0.5:
        return f"${plain}"
    return f"{plain} {rng.choice(('dollars', 'bucks', 'USD', 'dollars'))}" if kind < 0.65 else plain


def number_slot(rng: random.Random, field_semantic: str, unit: str | None) -> Slot:
    """A threshold that a column of this semantic could be compared with."""
    if field_semantic == "currency" and unit and " per " in unit:
        number = rng.choice((20, 25, 30, 35, 40, 45, 48, 50, 55, 60))
        return Slot("N", rng.choice((f"${number}", str(number), f"{number} dollars")), str(number))
    if field_semantic == "currency":
        scale = rng.choice(
            (100, 1_000, 1_000, 10_000, 10_000, 10_000, 100_000, 100_000, 1_000_000, 10_000_000)
        )
        number = int(rng.choice(_MANTISSAS) * scale) if rng.random() < 0.85 else rng.randint(51, 130_000)
        return Slot("N", money_text(rng, number), str(number))
    if field_semantic == "percent":
        number = rng.choice((10, 20, 25, 30, 40, 50, 50, 60, 70, 75, 80, 85, 90, 95))
        return Slot("N", f"{number}{rng.choice(('%', ' percent', '%', ' pct', ''))}", str(number))
    if unit in ("hours",):
        number = rng.randint(4, 12) if rng.random() < 0.7 else rng.choice((40, 100, 500, 1000, 5000))
        word = _WORDS.get(number, str(number)) if rng.random() < 0.2 else str(number)
        return Slot("N", word + rng.choice(("", " hours", " hrs", "h")), str(number))
    if unit == "stars":
        text = rng.choice(("3", "3.5", "4", "4.0", "4.5", "three", "four", "3.8", "2.5"))
        return Slot("N", text, {"three": "3", "four": "4", "4.0": "4"}.get(text, text))
    if field_semantic == "count":
        number = rng.choice((7, 10, 14, 15, 30, 30, 45, 60, 60, 90, 90, 120, 180, 365))
        return Slot("N", f"{number} days" if rng.random() < 0.85 else str(number), str(number))
    number = rng.choice((10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000))
    return Slot("N", f"{number:,}" if number >= 1000 and rng.random() < 0.5 else str(number), str(number))


def date_slot(rng: random.Random, use: str, year: int) -> Slot:
    """``use``: past, future or point; ``year`` is the current one."""
    return Slot("D", date_text(rng, use, year))


def date_text(rng: random.Random, use: str, year: int) -> str:
    words = english("dates")
    month_index = rng.randrange(12)
    later = min(11, month_index + rng.randint(1, 5))
    long = rng.random() < 0.8

    def month(index: int) -> str:
        return words["months"][index] if long else words["months"][index][:3]

    day = _day(rng, words["day"], month, month_index, year)
    fillers = {
        "month": month(month_index),
        "month2": month(later),
        "year": str(year - rng.choice((0, 0, 1, 1, 1, 2, 3)))
        if use != "future"
        else str(year + rng.choice((0, 1))),
        "lastyear": rng.choice(("last year", "this year")),
        "nextyear": str(year + 1),
        "n": str(rng.choice((3, 5, 7, 7, 10, 14, 15, 20, 30, 30, 30, 45, 60, 60, 90, 90, 120, 180))),
        "few": rng.choice(("2", "3", "4", "6", "6", "8", "12", "18", "two", "three", "six", "four")),
        "day": day,
        "day2": _day(rng, words["day"], month, later, year),
        "quarter": str(rng.randint(1, 4)),
        "weekday": rng.choice(words["weekdays"]),
    }
    return template(rng.choice(words[use])).render(rng, fillers)


def _day(rng: random.Random, forms: Sequence[str], month: object, index: int, year: int) -> str:
    dom = rng.randint(1, 28)
    suffix = "th" if dom in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(dom % 10, "th")
    when = year - rng.choice((0, 0, 1))
    fillers = {
        "monthname": month(index),  # type: ignore[operator]
        "dom": str(dom),
        "ordinal": f"{dom}{suffix}",
        "year": str(when),
        "iso": f"{when}-{index + 1:02d}-{dom:02d}",
        "us": f"{index + 1}/{dom}/{when}",
    }
    return template(rng.choice(forms)).render(rng, fillers)


def name_slot(rng: random.Random, column: Field, value: str) -> Slot:
    """A stored name as people shorten it: its first words, or one telling word."""
    words = value.split()
    surface = value
    chance = rng.random()
    if len(words) >= 2 and chance < 0.42:
        keep = rng.randint(1, len(words) - 1)
        surface = " ".join(words[:keep])
        if len(words) >= 3 and rng.random() < 0.15:
            surface = " ".join(words[1:])
        if len(surface) < 4 or (words[0].lower() in ("city", "state", "the") and keep < 3):
            surface = value
    if rng.random() < 0.2:
        surface = surface.lower()
    return Slot("V", surface, value, column.table, column.name)
