"""Years, and the quarters and halves of years."""

import re
from datetime import date
from typing import Final

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Period
from deployments.prompt_builder.linking.numerals import UNITS
from deployments.prompt_builder.linking.reading import MONTHS, Found, Reader

# A bare four-digit number is a year unless something is counted or compared with it.
# fmt: off
_COMPARED: Final = frozenset({
    "than", "=", "least", "most", "exceeding", "above", "below", "under", "exactly", "top", "equals", "tops",
    "topping", "exceeds",
})
_COUNTED: Final = frozenset({
    "hours", "hour", "dollars", "dollar", "bucks", "buck", "usd", "euros", "euro", "eur", "grand",
    "kg", "kilos", "meters", "cubic", "square", "pieces",
    "piece", "liters",
    "units", "m2", "m3", "days", "percent", "items", "rows", "records", "times", "people", "tons",
})
_BETWEEN_SIBLINGS: Final = frozenset({
    "and", "or", ",", "to", "through", "until", "versus", "against", "from", "of", "in", "with",
})
_ORDINALS: Final = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "last": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4,
}
# fmt: on
_YEAR_SHIFTS: Final = {"this": 0, "current": 0, "present": 0, "last": -1, "previous": -1, "next": 1}
PART: Final = re.compile(r"([qh])([1-4])$")
DAY: Final = re.compile(r"(\d{1,2})(st|nd|rd|th)?$")
FISCAL: Final = re.compile(r"fy'?(\d{4}|\d{2})$")
_YEAR: Final = re.compile(r"(?:19|20)\d\d$")
_YEARS_OF_HOURS: Final = 3
# Behind "over" or "up to" a number that would be a year longer ago is an amount.
_YEARS_LIMITED: Final = 10
# Before these a number of hours is counted although it looks like a year.
_COUNTING: Final = frozenset(
    {"over", "about", "nearly", "than", "exactly", "only", "of", "the", "and", "or", "to"}
)
# What stands between the two sides of a comparison of years, and how many words apart they are at most.
_SIDES: Final = frozenset({"than", "tops", "topping", "exceeds", "exceeding", "above", "below", "under"})
_SIDES_APART: Final = 6
# A fiscal year named by two ("FY 2025-26") begins in April, as where it is written so.
_FISCAL_START: Final = 4
_NEAR_YEARS: Final = 5  # a two-digit year is at most this far from today's
YEARS_BACK: Final = 30
_YEARS_AHEAD: Final = 20


class YearReader(Reader):
    """Reads years, quarters and halves, their year said, inherited from a sibling, or the last."""

    def _year(self, i: int) -> Found | None:
        """As in "2025", "calendar year 2025", "fy 2025", "fy 2025-26", "twenty twenty five"."""
        j = i
        while self._at(j) in {"calendar", "fiscal", "fy", "year", "financial"} and j < i + 2:
            j += 1
        year = self._year_number(j)
        if year is None:
            return None
        end, value = year
        later = self._at(i - 2) in {"later", "earlier", "older", "newer"}
        compared = self._at(i - 1) in _COMPARED and not later and not self._beside_year(i)
        compared = compared or self._limits(i, value)
        if j == i and (compared or (self._at(end) in _COUNTED and not self._names_year_of(i, end, value))):
            return None
        part = PART.match(self._at(end))
        if part is not None:
            return self._part_after_year(end, part, value)
        fiscal = j > i or FISCAL.match(self._at(i)) is not None
        if fiscal and self._at(end) in {"to", "/"} and self._at(end + 1) == f"{(value + 1) % 100:02}":
            return Found(end + 2, calendar.absolute(date(value, _FISCAL_START, 1), "month", 12))
        return Found(end, calendar.absolute(date(value, 1, 1), "year"))

    def _beside_year(self, i: int) -> bool:
        """Whether a comparison stands between two years: "more in 2026 than 2025"."""
        before = self._words[max(0, i - _SIDES_APART) : i - 1]
        near = abs(int(self._at(i)) - self._today.year) <= _NEAR_YEARS if self._at(i).isdigit() else True
        return near and self._at(i - 1) in _SIDES and any(_YEAR.match(w) or w == "year" for w in before)

    def _limits(self, i: int, year: int) -> bool:
        """Whether an amount is limited: "not over 2000", "up to 2000"."""
        said = self._at(i - 1) == "over" or self._words[max(0, i - 2) : i] == ["up", "to"]
        return said and self._today.year - year > _YEARS_LIMITED

    def _names_year_of(self, i: int, end: int, year: int) -> bool:
        """Whether it is the year of the hours or dollars, not their number: "2026 hours by crew"."""
        near = abs(year - self._today.year) <= _YEARS_OF_HOURS
        if self._at(end) == "dollar":
            noun = self._at(end + 1)
            return near and noun.isalpha() and noun not in self._english.stop_words
        return near and self._at(end) == "hours" and self._at(i - 1) not in _COUNTING

    def _part_after_year(self, end: int, part: re.Match[str], year: int) -> Found:
        noun = "quarter" if part[1] == "q" else "half"
        return Found(end + 1, part_of_year(noun, min(int(part[2]), 4 if noun == "quarter" else 2), year))

    def _counted_part(self, i: int) -> Found | None:
        """As in "first quarter of 2026", "second half of last year"."""
        number = _ORDINALS.get(self._at(i))
        noun = self._at(i + 1)
        if number is None or noun not in {"quarter", "half"} or (noun == "half" and number > 2):
            return None
        if self._at(i) == "last" and self._at(i + 2) != "of":
            return None
        found = self._part(i + 2, noun, number)
        explicit = found is not None and found.end > i + 2
        return found if explicit or (noun == "quarter" and self._at(i + 2) != "of") else None

    def _part(self, end: int, noun: str, number: int) -> Found | None:
        if noun == "half" and number > 2:
            return None
        year = self._year_behind(end)
        if year is not None:
            return Found(year[0], part_of_year(noun, number, year[1]))
        inherited = self._inherited_year(end)
        if inherited is None:
            first_month = 3 * number - 2 if noun == "quarter" else 6 * number - 5
            begun = first_month <= self._today.month or self._future
            inherited = self._today.year if begun else self._today.year - 1
        return Found(end, part_of_year(noun, number, inherited))

    def _year_number(self, i: int) -> tuple[int, int] | None:
        word = self._at(i)
        if _YEAR.match(word) and self._today.year - 30 <= int(word) <= self._today.year + 20:
            return i + 1, int(word)
        if word[:1] == "'" and word[1:].isdigit():
            return i + 1, 2000 + int(word[1:])
        if (fiscal := FISCAL.match(word)) is not None:
            return i + 1, full_year(fiscal[1])
        if word == "twenty" and self._at(i + 1) == "twenty":
            unit = UNITS.get(self._at(i + 2), 0)
            return (i + 3, 2020 + unit) if 0 < unit < 10 else None
        return None

    def _year_behind(self, i: int) -> tuple[int, int] | None:
        """The year that completes a month or quarter: ", 2026", "of last year", "'26"."""
        j = i
        while self._at(j) in {",", "of", "in", "the", "/"} and j < i + 2:
            j += 1
        while self._at(j) in {"calendar", "year", "fy", "fiscal", "financial"} and j < i + 3:
            j += 1
        short = self._at(j)
        if self._at(j - 1) in {"fy", "year"} and len(short) == 2 and short.isdigit():
            return j + 1, 2000 + int(short)
        shift = _YEAR_SHIFTS.get(self._at(j))
        if shift is not None and self._at(j + 1) == "year":
            return j + 2, self._today.year + shift
        year = self._year_number(j)
        if year is not None:
            return year
        word = self._at(j)
        if j == i and len(word) == 2 and word.isdigit() and abs(int(word) - self._today.year % 100) <= 5:
            return j + 1, 2000 + int(word)
        return None

    def _inherited_year(self, i: int) -> int | None:
        """The year of a following sibling: "march and april 2026", "q1 vs q2 2026"."""
        for j in range(i, min(i + 8, len(self._words))):
            word = self._at(j)
            if word in MONTHS or PART.match(word) or DAY.match(word):
                # A bare "31" behind a sibling month is its day.
                k = j + 2 if word in MONTHS and DAY.match(self._at(j + 1)) else j + 1
                year = self._year_behind(k)
                if year is not None and (j == i or self._at(j - 1) != "year"):
                    return year[1]
            elif word not in _BETWEEN_SIBLINGS:
                return None
        return None


def part_of_year(noun: str, number: int, year: int) -> Period:
    if noun == "half":
        return calendar.absolute(date(year, 6 * number - 5, 1), "month", 6)
    return calendar.absolute(date(year, 3 * number - 2, 1), "quarter")


def full_year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)
