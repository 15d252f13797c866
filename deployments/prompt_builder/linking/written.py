"""Written dates: "2026-11-10", "11/10/26", "march 2026", "november 10th, 2026", "q1 2025"."""

import re
from datetime import date
from typing import Final

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Period
from deployments.prompt_builder.linking.reading import MONTHS, UNIT_WORDS, Found
from deployments.prompt_builder.linking.years import (
    DAY,
    PART,
    YEARS_BACK,
    YearReader,
    full_year,
    part_of_year,
)

_ISO: Final = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")
_SLASHED: Final = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})$")
_SHORT: Final = re.compile(r"(\d{1,2})/(\d{1,2})$")
_DOTTED: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})$")
# "10/2026" and "2026-10".
_MONTH_YEAR: Final = re.compile(r"(?:(\d{1,2})/(\d{4})|(\d{4})-(\d{2}))$")
_LARGEST_DENOMINATOR: Final = 10
_COUNTED_BY: Final = frozenset({"of", "or", "to", *UNIT_WORDS})
_DAY_CUES: Final = frozenset({"on", "since", "before", "after", "until"})
_MONTHS_OF_YEAR: Final = 12
_PACKED: Final = re.compile(r"(?:(\d)([qh])(\d{2})|(\d{4})q([1-4]))$")
# fmt: off
_ALSO_WORDS: Final = frozenset({"may", "march", "mar", "dec", "sep", "jan"})
_MONTH_CUES: Final = frozenset({
    "in", "since", "from", "of", "until", "before", "after", "by", "during", "this", "last", "next",
    "to", "and",
    "between", "early", "late", "for",
})
# fmt: on


class DateReader(YearReader):
    """Reads dates and months in figures and names; months without a year are the nearest that make sense."""

    def _numeric(self, i: int, anchored: bool) -> Found | None:
        word = self._at(i)
        value = None
        if match := _ISO.match(word):
            value = _safe_date(int(match[1]), int(match[2]), int(match[3]))
        elif match := _SLASHED.match(word):
            value = self._slashed(int(match[1]), int(match[2]), full_year(match[3]))
        elif match := _DOTTED.match(word):
            value = _safe_date(int(match[3]), int(match[2]), int(match[1]))
        elif (match := _SHORT.match(word)) and (anchored or self._on_day(i, int(match[1]), int(match[2]))):
            value = self._undated(int(match[1]), int(match[2]))
        elif (day := self._dashed(i)) is not None:
            return Found(i + 3, _day(day))
        elif match := _MONTH_YEAR.match(word):
            return self._of_month(i + 1, int(match[1] or match[4]), int(match[2] or match[3]))
        elif match := _PACKED.match(word):
            return self._packed(i, match)
        elif (match := PART.match(word)) is not None:
            return self._part(i + 1, "quarter" if match[1] == "q" else "half", int(match[2]))
        return Found(i + 1, _day(value)) if value is not None else None

    def _undated(self, first: int, second: int) -> date | None:
        """A day without a year: the latest past one, in a question that looks ahead this year's."""
        value = self._slashed(first, second, self._today.year)
        if value is not None and value > self._today and not self._future:
            return value.replace(year=value.year - 1) if (value.month, value.day) != (2, 29) else None
        return value

    def _dashed(self, i: int) -> date | None:
        """Of "on 10-14", "since 10-14", where nothing follows that the numbers could count."""
        first, second, behind = self._at(i), self._at(i + 2), self._at(i + 3)
        figures = first.isdigit() and second.isdigit() and max(len(first), len(second)) <= 2
        if not figures or self._at(i + 1) != "to" or self._at(i - 1) not in _DAY_CUES:
            return None
        counted = behind.isalnum() and (behind not in self._english.stop_words or behind in _COUNTED_BY)
        return None if counted else self._undated(int(first), int(second))

    def _on_day(self, i: int, first: int, second: int) -> bool:
        """Whether a word for dates stands before what is no small fraction: "on 3/14", "for 6/3"."""
        fraction = first < second <= _LARGEST_DENOMINATOR
        return self._at(i - 1) in {"on", "for", "dated", "from"} and not fraction

    def _slashed(self, first: int, second: int, year: int) -> date | None:
        """American order, unless only the other is a date or another date of the question shows it."""
        american, european = _safe_date(year, first, second), _safe_date(year, second, first)
        return european or american if self._day_first() else american or european

    def _day_first(self) -> bool:
        found = [m for m in map(_SLASHED.match, self._words) if m]
        days = any(int(m[1]) > _MONTHS_OF_YEAR for m in found)
        return days and not any(int(m[2]) > _MONTHS_OF_YEAR for m in found)

    def _of_month(self, end: int, month: int, year: int) -> Found | None:
        if not 1 <= month <= _MONTHS_OF_YEAR or abs(year - self._today.year) > YEARS_BACK:
            return None
        return Found(end, calendar.absolute(date(year, month, 1), "month"))

    def _packed(self, i: int, match: re.Match[str]) -> Found | None:
        if match[4]:
            return Found(i + 1, part_of_year("quarter", int(match[5]), int(match[4])))
        number, year = int(match[1]), full_year(match[3])
        part = "quarter" if match[2] == "q" else "half"
        if not 1 <= number <= (4 if part == "quarter" else 2):
            return None
        return Found(i + 1, part_of_year(part, number, year))

    def _month(self, i: int, anchored: bool) -> Found | None:
        """As in "march 2026", "nov 10th, 2026", "10 nov 2026", "in march"."""
        day, j = None, i
        if match := DAY.match(self._at(i)):
            day, j = int(match[1]), i + 1
            j += self._at(j) == "of"
            if self._at(j) not in MONTHS:
                return None
        month = MONTHS.get(self._at(j))
        if month is None or (day is None and not self._is_month(j, anchored)):
            return None
        j += 1
        j += self._at(j) == "."
        if day is None:
            day, j = self._day_behind(i, j, anchored)
        year = self._year_behind(j)
        if year is not None:
            return self._dated(year[0], year[1], month, day)
        inherited = self._inherited_year(j)
        if inherited is not None:
            return self._dated(j, inherited, month, day)
        return self._dated(j, self._nearest_year(i, month, day), month, day)

    def _day_behind(self, i: int, j: int, anchored: bool) -> tuple[int | None, int]:
        """The day number after a month name; a bare "26" after an abbreviation is the year ("mar 26")."""
        match = DAY.match(self._at(j))
        if match is None or not 1 <= int(match[1]) <= 31:
            return None, j
        near_year = (
            abs(int(match[1]) - self._today.year % 100) <= 2 and not match[2] and len(self._at(j)) == 2
        )
        placed = anchored or self._at(i - 1) in {"on", "since", "before", "after", "by"}
        if (
            near_year
            and len(self._at(i)) <= 4
            and self._at(i) != "may"
            and not placed
            and not self._year_behind(j + 1)
        ):
            return None, j
        if self._at(j + 1) in {"hours", "days", "percent"}:
            return None, j
        return int(match[1]), j + 1

    def _is_month(self, j: int, anchored: bool) -> bool:
        """Names that are also other words need a preposition, a number or a capital letter."""
        if self._at(j) not in _ALSO_WORDS or anchored:
            return True
        after = self._at(j + 1)
        if after[:1].isdigit() or after[:1] == "'" or self._at(j - 1) in _MONTH_CUES:
            return True
        if self._at(j) == "may":
            return (self._capital[j] and j > 0) or (j == 0 and after in {",", ":"})
        if j == 0 and after in {",", ":"}:
            return True
        return after in {"to", "and", "or", "this", "last"} or self._at(j) != "march" or self._capital[j]

    def _dated(self, end: int, year: int, month: int, day: int | None) -> Found | None:
        if day is None:
            return Found(end, calendar.absolute(date(year, month, 1), "month"))
        value = _safe_date(year, month, day)
        return Found(end, _day(value)) if value else None

    def _nearest_year(self, i: int, month: int, day: int | None) -> int:
        year, today = self._today.year, self._today
        which = self._at(i - 1)
        key, now = (month, day or 1), (today.month, today.day if day else 1)
        if which == "next":
            return year if key > now else year + 1
        if self._future:
            return year if key >= now else year + 1
        if which == "last" and day is None:
            return year if key < now else year - 1
        return year if key <= now else year - 1

    def same_month_day(self, first: int, second: int) -> Found | None:
        """The second day of "jan 5 to 10, 2026"."""
        match = DAY.match(self._at(second)) if self._at(second + 1) != "of" else None
        month = next((MONTHS[w] for w in self._words[first:second] if w in MONTHS), None)
        if match is None or month is None:
            return None
        year = self._year_behind(second + 1)
        end, value = year if year else (second + 1, self._nearest_year(first, month, int(match[1])))
        return self._dated(end, value, month, int(match[1]))


def _safe_date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _day(value: date) -> Period:
    return calendar.absolute(value, "day")
