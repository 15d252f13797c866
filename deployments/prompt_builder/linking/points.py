"""Single date expressions: a day, a month, a quarter, a rolling or calendar period."""

import re
from dataclasses import dataclass
from datetime import date

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Moment, Period, Unit
from deployments.prompt_builder.linking.numerals import TENS, UNITS, small_integer

_MONTH_NAMES = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, start=1)}
MONTHS |= {name[:3]: n for name, n in MONTHS.items()} | {"sept": 9}
_DAY_NAMES = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS = {name: n for n, name in enumerate(_DAY_NAMES)}
WEEKDAYS |= {"mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4}
UNIT_WORDS: dict[str, Unit] = {
    "day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month",
    "quarter": "quarter", "quarters": "quarter", "year": "year", "years": "year",
}  # fmt: skip
_TO_DATE: dict[str, Unit] = {"ytd": "year", "mtd": "month", "qtd": "quarter", "wtd": "week"}
_CURRENT = {"this", "current"}
_PAST = {"last", "past", "previous", "prior", "trailing", "preceding"}
_AHEAD = {"next", "coming", "upcoming", "following"}
_WHOLE = {"full", "complete", "calendar", "whole", "entire", "fiscal", "completed", "financial"}
_ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "last": 4,
    "1st": 1,
    "2nd": 2,
    "3rd": 3,
    "4th": 4,
}
_SHIFTED = {
    "period",
    "stretch",
    "time",
    "span",
    "point",
    "window",
    "months",
    "days",
    "weeks",
    "part",
    "dates",
}
# A bare four-digit number is a year unless something is counted or compared with it.
_NOT_A_YEAR_AFTER = frozenset(
    ["than", "least", "most", "exceeding", "above", "below", "under", "exactly", "top", "equals", "tops"]
)
_NOT_A_YEAR_BEFORE = frozenset(
    [
        "hours",
        "hour",
        "dollars",
        "bucks",
        "kg",
        "kilos",
        "meters",
        "cubic",
        "square",
        "pieces",
        "piece",
        "liters",
        "units",
        "m2",
        "m3",
        "days",
        "percent",
        "items",
        "rows",
        "records",
        "times",
        "people",
        "tons",
        "and-a-half",
    ]
)
_MONTH_CUES = frozenset(
    [
        "in",
        "since",
        "from",
        "of",
        "until",
        "before",
        "after",
        "by",
        "during",
        "this",
        "last",
        "next",
        "to",
        "and",
        "between",
        "early",
        "late",
        "for",
    ]
)

_ISO = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})$")
_SHORT = re.compile(r"(\d{1,2})/(\d{1,2})$")
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})$")
_PACKED = re.compile(r"(?:(\d)([qh])(\d{2})|(\d{4})q([1-4]))$")
_PART = re.compile(r"([qh])([1-4])$")
_FISCAL = re.compile(r"fy'?(\d{4}|\d{2})$")
_DAY = re.compile(r"(\d{1,2})(st|nd|rd|th)?$")
_YEAR = re.compile(r"(?:19|20)\d\d$")


@dataclass(frozen=True, slots=True)
class Found:
    """A period and the word after its expression."""

    end: int
    period: Period


def _safe_date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _day(value: date) -> Period:
    return calendar.absolute(value, "day")


class Points:
    """Reads one point in time at a given word; `dates.DateGrammar` adds the relations."""

    def __init__(self, words: list[str], capital: list[bool], today: date, future: bool) -> None:
        self._words = words
        self._capital = capital
        self._today = today
        self._future = future

    def _at(self, i: int) -> str:
        return self._words[i] if 0 <= i < len(self._words) else ""

    def point(self, i: int, anchored: bool = False) -> Found | None:
        """``anchored``: a relation word stands before, so bare days and month names need no further sign."""
        word = self._at(i)
        if not word:
            return None
        if word == "the":
            found = self._relative(i + 1) or self._edge(i + 1) or self._counted_part(i + 1)
            return (
                found
                or self._named_day(i + 1, anchored)
                or (self.point(i + 1, anchored) if anchored else self._of_the(i + 1))
            )
        return (
            self._simple(i)
            or self._numeric(i, anchored)
            or self._month(i, anchored)
            or self._counted_part(i)
            or self._relative(i)
            or self._ago(i)
            or self._weekday(i, anchored)
            or self._edge(i)
            or self._named_day(i, anchored)
            or self._year(i)
        )

    # ------------------------------------------------------------ words

    def _simple(self, i: int) -> Found | None:
        word = self._at(i)
        if word == "today":
            return Found(i + 1, calendar.relative("day", 0))
        if word == "yesterday":
            return Found(i + 1, calendar.relative("day", -1))
        if word == "tomorrow":
            return Found(i + 1, calendar.relative("day", 1))
        if word in _TO_DATE:
            return Found(i + 1, calendar.to_date(_TO_DATE[word]))
        if word in UNIT_WORDS and self._at(i + 1) == "to" and self._at(i + 2) == "date":
            return Found(i + 3, calendar.to_date(UNIT_WORDS[word]))
        if (
            word in {"year", "month", "week", "quarter"}
            and self._at(i + 1) == "so"
            and self._at(i + 2) == "far"
        ):
            return Found(i + 3, calendar.to_date(UNIT_WORDS[word]))
        if word == "so" and self._at(i + 1) == "far":
            return self._so_far(i + 2)
        if word == "same":
            return self._same(i + 1)
        return None

    def _so_far(self, i: int) -> Found | None:
        if self._at(i) == "in":
            i += 1
        if self._at(i) in _CURRENT | {"the"}:
            i += 1
            if self._at(i) in _WHOLE | _CURRENT:
                i += 1
            unit = UNIT_WORDS.get(self._at(i))
            if unit is not None:
                return Found(i + 1, calendar.to_date(unit))
        year = self._year(i)
        if year is not None and year.period.start is not None:
            return Found(year.end, Period(year.period.start, Moment(days=1)))
        return None

    def _same(self, i: int) -> Found | None:
        """ "same period last year", "same month of last year"."""
        noun = self._at(i)
        j = i + 1
        while self._at(j) in {"of", "in", "the", "as"}:
            j += 1
        if self._at(j) not in {"last", "previous", "prior"} or self._at(j + 1) != "year":
            return None
        if noun in {"month", "quarter", "week", "day"}:
            unit = UNIT_WORDS[noun]
            now = calendar.relative(unit, 0)
            assert now.start is not None and now.end is not None
            return Found(j + 2, Period(now.start.shift("year", -1), now.end.shift("year", -1), now.grain))
        if noun in _SHIFTED:
            return Found(j + 2, _year_to_date_shifted())
        return None

    def _relative(self, i: int) -> Found | None:
        """ "this month", "last 30 days", "next quarter", "previous two full months", "week before last"."""
        word = self._at(i)
        if word in {"week", "month", "quarter", "year"} and self._at(i + 1) == "before":
            return self._before_last(i, UNIT_WORDS[word])
        if word == "day" and self._at(i + 1) == "before" and self._at(i + 2) == "yesterday":
            return Found(i + 3, calendar.relative("day", -2))
        if word in {"this", "same"} and self._at(i + 1) == "time" and self._at(i + 2) in {"last", "previous"}:
            return Found(i + 4, _year_to_date_shifted()) if self._at(i + 3) == "year" else None
        if word not in _CURRENT and word not in _PAST and word not in _AHEAD:
            return None
        j = i + 1
        if self._at(j) in _CURRENT:
            j += 1
        whole = self._at(j) in _WHOLE
        j += whole
        if self._at(j) == "weekend":
            return self._weekend(j + 1, word)
        unit = UNIT_WORDS.get(self._at(j))
        if unit is not None and not self._at(j).endswith("s"):
            return self._single(j + 1, word, unit)
        quantity = self.quantity(j)
        if quantity is None or word in _CURRENT:
            return None
        end, count, unit = quantity
        whole = whole or self._words[j + 1] in _WHOLE
        if word in _AHEAD:
            return Found(
                end, calendar.relative(unit, 1, count) if whole else calendar.rolling_future(unit, count)
            )
        if whole or unit == "quarter":
            return Found(end, calendar.relative(unit, -count, count))
        recent = calendar.rolling_past(unit, count)
        if word in {"previous", "prior", "preceding"} and {"last", "past"} & set(self._words[:i]):
            assert recent.start is not None
            return Found(end, Period(recent.start.shift(unit, -count), recent.start))
        return Found(end, recent)

    def _before_last(self, i: int, unit: Unit) -> Found | None:
        """ "the month before last", "last month against the month before (that)"."""
        if self._at(i + 2) in {"last", "that"}:
            return Found(i + 3, calendar.relative(unit, -2))
        k = i - 2 if self._at(i - 1) == "the" else i - 1
        compared = self._at(k) in {"versus", "against", "to", "and", "with", "than"}
        said = self._words[max(0, k - 4) : max(0, k)]
        if compared and self._words[i] in said and not {"this", "last"}.isdisjoint(said):
            return Found(i + 2, calendar.relative(unit, -2 if "last" in said else -1))
        return None

    def _single(self, end: int, word: str, unit: Unit) -> Found | None:
        if word in _CURRENT:
            if self._at(end) == "so" and self._at(end + 1) == "far":
                return Found(end + 2, calendar.to_date(unit))
            if self._at(end) == "to" and self._at(end + 1) == "date":
                return Found(end + 2, calendar.to_date(unit))
            return Found(end, calendar.relative(unit, 0))
        if word in _AHEAD:
            return Found(end, calendar.relative(unit, 1))
        if word in {"past", "trailing"} and unit != "day":
            return Found(end, calendar.rolling_past(unit, 1))
        if unit == "day":
            return Found(end, calendar.relative("day", -1)) if word == "previous" else None
        return Found(end, calendar.relative(unit, -1))

    def _weekend(self, end: int, word: str) -> Found:
        """The Saturday and Sunday of this week for "this", of the week before for "last", else of the next."""
        monday = Moment(anchor="week")
        weeks = 0 if word in _CURRENT else 1 if word in _AHEAD else -1
        if word not in _CURRENT and word not in _AHEAD and self._today.weekday() == 6:
            weeks = -1
        saturday = monday.shift("week", weeks).shift("day", 5)
        return Found(end, Period(saturday, saturday.shift("day", 2)))

    def quantity(self, i: int) -> tuple[int, int, Unit] | None:
        """ "30 days", "two full weeks", "a year", "couple of months": end, count and unit."""
        word = self._at(i)
        count: int | None
        if word in {"a", "an", "one"}:
            count, j = 1, i + 1
            if self._at(j) in {"couple", "few"}:
                count, j = (2 if self._at(j) == "couple" else 3), j + 1
        elif word in {"couple", "few"}:
            count, j = (2 if word == "couple" else 3), i + 1
        elif word == "half" and self._at(i + 1) == "a" and self._at(i + 2) == "year":
            return i + 3, 6, "month"
        elif word in TENS and self._at(i + 1) in UNITS and 0 < UNITS[self._at(i + 1)] < 10:
            count, j = TENS[word] + UNITS[self._at(i + 1)], i + 2
        else:
            count, j = small_integer(word), i + 1
        if count is None:
            return None
        if self._at(j) == "of":
            j += 1
        if self._at(j) in _WHOLE:
            j += 1
        unit = UNIT_WORDS.get(self._at(j))
        if unit is None or not 0 < count < 4000:
            return None
        return j + 1, count, unit

    def _ago(self, i: int) -> Found | None:
        """ "3 days ago" is that day, "two months ago" the calendar month."""
        quantity = self.quantity(i)
        if quantity is None or self._at(quantity[0]) not in {"ago", "back"}:
            return None
        end, count, unit = quantity
        return Found(end + 1, calendar.relative(unit, -count))

    def _weekday(self, i: int, anchored: bool) -> Found | None:
        word, which = self._at(i), ""
        if word in _CURRENT | {"last", "next", "past", "on"} and self._at(i + 1) in WEEKDAYS:
            which, i = word, i + 1
        elif not anchored:
            return None
        weekday = WEEKDAYS.get(self._at(i))
        if weekday is None or (self._at(i + 1) in {"to", "and", "or"} and self._at(i + 2) in WEEKDAYS):
            return None
        ahead = which == "next" or (self._future and which != "last")
        offset = weekday - self._today.weekday()
        if which in _CURRENT:
            return Found(i + 1, _weekday_period(0, weekday))
        if ahead:
            return Found(i + 1, _weekday_period(0 if offset > 0 else 1, weekday))
        before = offset < 0 or (offset == 0 and which != "last")
        return Found(i + 1, _weekday_period(0 if before else -1, weekday))

    def _edge(self, i: int) -> Found | None:
        """ "start of the year", "end of march", "last day of last month", "week of november 9"."""
        word, j = self._at(i), i + 1
        if word in {"last", "first", "final"} and self._at(j) == "day":
            word, j = ("start" if word == "first" else "end"), j + 1
        elif word == "very" and self._at(j) in {"start", "end", "beginning"}:
            word, j = self._at(j), j + 1
        elif word not in {"start", "beginning", "end", "week", "month", "year", "turn"}:
            return None
        if self._at(j) != "of":
            return None
        inner = self._unit_point(j + 1)
        if inner is None or inner.period.start is None or inner.period.end is None:
            return None
        start, end = inner.period.start, inner.period.end
        if word in {"start", "beginning", "turn"}:
            return Found(inner.end, Period(start, start.shift("day", 1), "day"))
        if word == "end":
            return Found(inner.end, Period(end.shift("day", -1), end, "day"))
        if word == "week":
            if inner.period.grain != "day" or start.absolute is None:
                return None
            return Found(inner.end, calendar.absolute(calendar.start_of("week", start.absolute), "week"))
        return inner if inner.period.grain == word else None

    def _unit_point(self, i: int) -> Found | None:
        """A period named after "of": "the year", "this month", "march 2026"."""
        j = i + 1 if self._at(i) == "the" else i
        if self._at(j) in UNIT_WORDS:
            return Found(j + 1, calendar.relative(UNIT_WORDS[self._at(j)], 0))
        return self.point(i, anchored=True)

    def _of_the(self, i: int) -> Found | None:
        """What may follow a bare "the": "the weekend", "the current year", "the year 2025"."""
        if self._at(i) == "weekend" and self._at(i - 2) in {"over", "during"}:
            return self._weekend(i + 1, "last")
        if self._at(i) == "year" and self._at(i + 1) == "so":
            return self._simple(i)
        if self._at(i) in {"calendar", "year"} and _YEAR.match(self._at(i + 1)):
            return self._year(i + 1)
        return self._simple(i) if self._at(i) == "same" else None

    # ------------------------------------------------------------ numbers and names

    def _numeric(self, i: int, anchored: bool) -> Found | None:
        word = self._at(i)
        value = None
        if match := _ISO.match(word):
            value = _safe_date(int(match[1]), int(match[2]), int(match[3]))
        elif match := _SLASHED.match(word):
            value = _month_first(int(match[1]), int(match[2]), _full_year(match[3]))
        elif match := _DOTTED.match(word):
            value = _safe_date(int(match[3]), int(match[2]), int(match[1]))
        elif anchored and (match := _SHORT.match(word)):
            value = _month_first(int(match[1]), int(match[2]), self._today.year)
            if value is not None and value > self._today and not self._future:
                value = value.replace(year=value.year - 1) if (value.month, value.day) != (2, 29) else None
        elif match := _PACKED.match(word):
            return self._packed(i, match)
        elif (match := _FISCAL.match(word)) is not None:
            return Found(i + 1, calendar.absolute(date(_full_year(match[1]), 1, 1), "year"))
        elif (match := _PART.match(word)) is not None:
            return self._part(i + 1, "quarter" if match[1] == "q" else "half", int(match[2]))
        return Found(i + 1, _day(value)) if value is not None else None

    def _packed(self, i: int, match: re.Match[str]) -> Found | None:
        if match[4]:
            return Found(i + 1, _part_of_year("quarter", int(match[5]), int(match[4])))
        number, year = int(match[1]), _full_year(match[3])
        part = "quarter" if match[2] == "q" else "half"
        if not 1 <= number <= (4 if part == "quarter" else 2):
            return None
        return Found(i + 1, _part_of_year(part, number, year))

    def _counted_part(self, i: int) -> Found | None:
        """ "first quarter of 2026", "second half of last year"."""
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
            return Found(year[0], _part_of_year(noun, number, year[1]))
        inherited = self._inherited_year(end)
        period = _part_of_year(noun, number, inherited or self._today.year)
        assert period.start is not None and period.start.absolute is not None
        if inherited is None and period.start.absolute > self._today and not self._future:
            period = _part_of_year(noun, number, self._today.year - 1)
        return Found(end, period)

    def _month(self, i: int, anchored: bool) -> Found | None:
        """ "march 2026", "nov 10th, 2026", "10 nov 2026", "in march"."""
        day, j = None, i
        if match := _DAY.match(self._at(i)):
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
        match = _DAY.match(self._at(j))
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
        """ "may", "march" and "mar" are also other words; they need a preposition, a number or a capital letter."""
        if self._at(j) not in {"may", "march", "mar", "dec", "sep", "jan"} or anchored:
            return True
        after = self._at(j + 1)
        if after[:1].isdigit() or after[:1] == "'" or self._at(j - 1) in _MONTH_CUES:
            return True
        if self._at(j) == "may":
            return self._capital[j] and j > 0
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
        match = _DAY.match(self._at(second))
        month = next((MONTHS[w] for w in self._words[first:second] if w in MONTHS), None)
        if match is None or month is None:
            return None
        year = self._year_behind(second + 1)
        end, value = year if year else (second + 1, self._nearest_year(first, month, int(match[1])))
        return self._dated(end, value, month, int(match[1]))

    def _named_day(self, i: int, anchored: bool) -> Found | None:
        """ "the 15th", "the 1st of this month", "15th of march" (the last by `_month`)."""
        match = _DAY.match(self._at(i))
        if match is None or not match[2]:
            return None
        day, j = int(match[1]), i + 1
        if self._at(j) == "of":
            if self._at(j + 1) in MONTHS:
                return self._month(i, anchored)
            inner = self._unit_point(j + 1)
            if inner is None or inner.period.grain != "month" or inner.period.start is None:
                return None
            start = inner.period.start.shift("day", day - 1)
            return Found(inner.end, Period(start, start.shift("day", 1), "day"))
        if not (anchored or self._at(i - 2) == "on") or self._at(j) in {"quarter", "half"}:
            return None
        start = Moment(anchor="month", months=-1 if day > self._today.day and not self._future else 0).shift(
            "day", day - 1
        )
        return Found(j, Period(start, start.shift("day", 1), "day"))

    def _year(self, i: int) -> Found | None:
        """ "2025", "calendar 2025", "calendar year 2025", "fy 2025", "twenty twenty five"."""
        j = i
        while self._at(j) in {"calendar", "fiscal", "fy", "year", "financial"} and j < i + 2:
            j += 1
        year = self._year_number(j)
        if year is None:
            return None
        end, value = year
        if j == i and (self._at(i - 1) in _NOT_A_YEAR_AFTER or self._at(end) in _NOT_A_YEAR_BEFORE):
            return None
        part = _PART.match(self._at(end))
        if part is not None:
            return self._part_after_year(end, part, value)
        return Found(end, calendar.absolute(date(value, 1, 1), "year"))

    def _part_after_year(self, end: int, part: re.Match[str], year: int) -> Found:
        noun = "quarter" if part[1] == "q" else "half"
        return Found(end + 1, _part_of_year(noun, min(int(part[2]), 4 if noun == "quarter" else 2), year))

    def _year_number(self, i: int) -> tuple[int, int] | None:
        word = self._at(i)
        if _YEAR.match(word) and self._today.year - 30 <= int(word) <= self._today.year + 20:
            return i + 1, int(word)
        if word[:1] == "'" and word[1:].isdigit():
            return i + 1, 2000 + int(word[1:])
        if word == "twenty" and self._at(i + 1) == "twenty":
            unit = UNITS.get(self._at(i + 2), 0)
            return (i + 3, 2020 + unit) if 0 < unit < 10 else None
        return None

    def _year_behind(self, i: int) -> tuple[int, int] | None:
        """The year that completes a month or quarter: ", 2026", "of last year", "'26"."""
        j = i
        while self._at(j) in {",", "of", "in", "the", "/"} and j < i + 2:
            j += 1
        if self._at(j) in {"calendar", "year", "fy"}:
            j += 1
        shift = {"this": 0, "current": 0, "last": -1, "previous": -1, "next": 1}.get(self._at(j))
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
        """The year of a following sibling: "march and april 2026", "q1 vs q2 2026", "jan, feb and mar 2025"."""
        for j in range(i, min(i + 8, len(self._words))):
            word = self._at(j)
            if word in MONTHS or _PART.match(word) or _DAY.match(word):
                year = self._year_behind(j + 1)
                if year is not None and (j == i or self._at(j - 1) != "year"):
                    return year[1]
            elif word not in {
                "and",
                "or",
                ",",
                "to",
                "through",
                "until",
                "versus",
                "against",
                "from",
                "of",
                "in",
                "with",
            }:
                return None
        return None


def _weekday_period(weeks: int, weekday: int) -> Period:
    start = Moment(anchor="week").shift("week", weeks).shift("day", weekday)
    return Period(start, start.shift("day", 1), "day")


def _year_to_date_shifted() -> Period:
    return Period(Moment(anchor="year").shift("year", -1), Moment(days=1).shift("year", -1))


def _part_of_year(noun: str, number: int, year: int) -> Period:
    if noun == "half":
        return calendar.absolute(date(year, 6 * number - 5, 1), "month", 6)
    return calendar.absolute(date(year, 3 * number - 2, 1), "quarter")


def _month_first(first: int, second: int, year: int) -> date | None:
    """American order, unless only the other order is a date."""
    return _safe_date(year, first, second) or _safe_date(year, second, first)


def _full_year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)
