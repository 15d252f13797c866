"""Parts of periods and named days: "late september", "spring 2025", "first week of november", "week 45".

Conventions: early, mid and late are thirds (of a month its days 1-10, 11-20 and 21 to the end, of a year four
months each, of a quarter one); behind a relation word "mid" is the middle day: the 15th, or July 1 of a year.
Seasons are whole months (spring begins on March 1) and winter belongs to the year in which it begins. The
n-th week of a month begins on its day 7n - 6, the last takes the final seven days; numbered weeks are those
of ISO 8601. A "period ended" some day is open at its start.
"""

import re
from datetime import date, timedelta
from typing import Final

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Grain, Moment, Period, Unit
from deployments.prompt_builder.linking.holidays import HolidayReader
from deployments.prompt_builder.linking.reading import AHEAD, CURRENT, MONTHS, UNIT_WORDS, WEEKDAYS, Found
from deployments.prompt_builder.linking.relative import RelativeReader
from deployments.prompt_builder.linking.written import DateReader

SEASONS: Final = {"spring": 3, "summer": 6, "fall": 9, "autumn": 9, "winter": 12}
THIRDS: Final = {"early": 0, "mid": 1, "middle": 1, "late": 2}
_ORDINALS: Final = {
    **{"first": 0, "opening": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1},
    **{"final": -1, "closing": -1, "1st": 0, "2nd": 1, "3rd": 2, "4th": 3, "5th": 4},
}
# Behind these, "early" and "late" tell how something went: "finished late last year".
_WENT: Final = frozenset(
    {"is", "are", "was", "were", "be", "been", "finish", "finished", "complete", "completed", "run", "ran"}
    | {"finishing", "running", "arrived", "arrive", "came", "delivered", "too", "so", "very", "how", "or"}
)
_SEASON_CUES: Final = frozenset({"in", "since", "during", "over", "until", "before", "after", "by", "from"})
NUMBERED: Final = frozenset({"week", "kw", "cw"})
_NOT_NUMBERED: Final = frozenset({"per", "a", "each", "every", "by", "last", "this", "next", "past"})
_UNIT_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_YEAR_SAID: Final = re.compile(r"(?:19|20)\d\d$")
_HALF_A_YEAR: Final = timedelta(days=183)


class PartReader(HolidayReader, DateReader, RelativeReader):
    """Reads parts of months, quarters and years, seasons, holidays and numbered weeks."""

    def _part_or_name(self, i: int, anchored: bool) -> Found | None:
        word = self._at(i)
        if word in THIRDS:
            return self._third(i, anchored)
        if word in _ORDINALS:
            found = self._counted_days(i)
            if found is not None:
                return found
        if word in self._english.holidays:
            return self._holiday(i, anchored)
        if word == "year" and self._at(i + 1) == "end" and (year := self._year_number(i + 2)) is not None:
            return Found(year[0], calendar.absolute(date(year[1], 12, 31), "day"))
        placed = anchored or (word == "year" and self._at(i - 1) == "at")
        if placed and word in {"week", "month", "quarter", "year"} and (end := self._unit_end(i)) is not None:
            return end
        if word in NUMBERED and self._at(i + 1).isdigit():
            return self._numbered_week(i)
        if word == "week" and self._at(i + 1) in {"commencing", "starting", "beginning", "from"}:
            return self._opened_week(i + 2)
        return self._season(i, anchored) or self._ended(i)

    def _third(self, i: int, anchored: bool) -> Found | None:
        word = self._at(i)
        before = self._at(i - 1)
        if word != "mid" and (before in _WENT or (word == "middle" and self._at(i + 1) != "of")):
            return None
        j = i + 1
        j += self._at(j) in {"in", "of", "to"} and word == "middle"
        inner = self._whole_period(j)
        if inner is None or inner.period.start is None:
            return None
        start, unit = inner.period.start, inner.period.grain
        if word in {"mid", "middle"} and anchored:
            middle = self._middle(start, unit)
            return Found(inner.end, Period(middle, middle.shift("day", 1), "day"))
        third = THIRDS[word]
        if unit == "month":
            first = start.shift("day", 10 * third)
            last = inner.period.end if third == 2 else start.shift("day", 10 * third + 10)
            return Found(inner.end, Period(first, last))
        months = _UNIT_MONTHS[unit] // 3
        first = start.shift("month", months * third)
        return Found(
            inner.end, Period(first, first.shift("month", months), "month" if months == 1 else "range")
        )

    @staticmethod
    def _middle(start: Moment, unit: str) -> Moment:
        if unit == "month":
            return start.shift("day", 14)
        return start.shift("month", 6) if unit == "year" else start.shift("month", 1).shift("day", 14)

    def _whole_period(self, i: int) -> Found | None:
        """A month, quarter or year at ``i``, by name, number or from today; "the" may stand before."""
        i += self._at(i) == "the"
        if self._at(i) in MONTHS:
            found = self._month(i, anchored=True)
        else:
            found = self._numeric(i, anchored=False) or self._relative(i) or self._year(i)
        if found is None and self._at(i) in _UNIT_MONTHS and self._at(i - 1) == "the":
            found = Found(i + 1, calendar.relative(UNIT_WORDS[self._at(i)], 0))
        return found if found is not None and found.period.grain in _UNIT_MONTHS else None

    def _counted_days(self, i: int) -> Found | None:
        """As in "first week of november", "last two weeks of october", "second half of march"."""
        number, j = _ORDINALS[self._at(i)], i + 1
        unit: Unit
        half = self._at(j) == "half"
        if half:
            j, count, unit = j + 1, 1, "day"
        elif self._at(j) in {"day", "week", "month"}:
            j, count, unit = j + 1, 1, UNIT_WORDS[self._at(j)]
        else:
            quantity = self.quantity(j)
            if quantity is None or number not in {0, -1}:
                return None
            j, count, unit = quantity
        if self._at(j) not in {"of", "in"}:
            return None
        inner = self._whole_period(j + 1)
        if inner is None or inner.period.start is None or inner.period.end is None:
            return None
        start, end = inner.period.start, inner.period.end
        if half:
            return self._half_of(inner, number)
        if inner.period.grain == unit:
            return None
        grain: Grain = "day" if unit == "day" and count == 1 else "range"
        if number < 0:
            return Found(inner.end, Period(end.shift(unit, -count), end, grain))
        first = start.shift(unit, number * count)
        if first.resolve(self._today) >= end.resolve(self._today):
            return None
        return Found(inner.end, Period(first, min(first.shift(unit, count), end, key=self._on), grain))

    def _on(self, moment: Moment) -> date:
        return moment.resolve(self._today)

    def _half_of(self, inner: Found, number: int) -> Found | None:
        """Of a month to and from its 15th, of a quarter its middle month's 15th, of a year six months."""
        start, end = inner.period.start, inner.period.end
        if start is None or end is None or number not in {0, 1, -1}:
            return None
        middle = self._middle(start, inner.period.grain)
        if inner.period.grain != "year":
            middle = middle.shift("day", 1)
        return Found(inner.end, Period(start, middle) if number == 0 else Period(middle, end))

    def _unit_end(self, i: int) -> Found | None:
        """The last day of the current unit: "month end", "the year's end"."""
        j = i + 2 if self._at(i + 1) == "'s" else i + 1
        if self._at(j) != "end":
            return None
        end = calendar.relative(UNIT_WORDS[self._at(i)], 1).start
        return Found(j + 1, Period(end.shift("day", -1), end, "day")) if end is not None else None

    def _season(self, i: int, anchored: bool) -> Found | None:
        word, j = self._at(i), i
        which = word if word in {*CURRENT, *AHEAD, "last", "past", "previous"} else ""
        j += bool(which)
        j += self._at(j) == "the"
        month = SEASONS.get(self._at(j))
        if month is None:
            return None
        before = self._at(i - 2) if self._at(i - 1) == "the" else self._at(i - 1)
        year = self._year_behind(j + 1)
        if year is not None:
            return self._season_from(year[0], month, year[1])
        if not which and not anchored and before not in _SEASON_CUES:
            return None
        started = self._today.year if (self._today.month >= month) else self._today.year - 1
        over = calendar.add_months(date(started, month, 1), 3) <= self._today
        if which in AHEAD or (self._future and not which):
            started = started + 1
        elif which in CURRENT:
            started = self._today.year if month != 12 or self._today.month > 2 else self._today.year - 1
        elif which and not over:
            started -= 1
        return self._season_from(j + 1, month, started)

    @staticmethod
    def _season_from(end: int, month: int, year: int) -> Found:
        return Found(end, calendar.absolute(date(year, month, 1), "month", 3))

    def _numbered_week(self, i: int) -> Found | None:
        number = int(self._at(i + 1)) if len(self._at(i + 1)) <= 2 else 0
        if not 1 <= number <= 53 or self._at(i - 1) in _NOT_NUMBERED or self._at(i + 2) in UNIT_WORDS:
            return None
        year = self._year_behind(i + 2)
        end, said = year if year is not None else (i + 2, None)
        try:
            monday = date.fromisocalendar(said or self._today.isocalendar().year, number, 1)
            if said is None and monday > self._today and not self._future:
                monday = date.fromisocalendar(self._today.isocalendar().year - 1, number, 1)
        except ValueError:
            return None
        return Found(end, calendar.absolute(monday, "week"))

    def _opened_week(self, i: int) -> Found | None:
        """Seven days from the day at ``i``: "week commencing 3 august"."""
        i += self._at(i) == "on"
        i += self._at(i) in WEEKDAYS
        day = self._numeric(i, anchored=True) or self._month(i, anchored=True)
        if day is None or day.period.start is None or day.period.grain != "day":
            return None
        return Found(day.end, Period(day.period.start, day.period.start.shift("week", 1), "week"))

    def _ended(self, i: int) -> Found | None:
        """As in "week ending nov 15", "12 months ended october 31", "period ended october 31"."""
        unit: Unit | None = UNIT_WORDS.get(self._at(i))
        end, count = i + 1, 1
        if unit is None and self._at(i) != "period":
            quantity = self.quantity(i)
            if quantity is None:
                return None
            end, count, unit = quantity
        if self._at(end) not in {"ended", "ending"}:
            return None
        end += 1
        end += self._at(end) == "on"
        end += self._at(end) in WEEKDAYS
        day = self._numeric(end, anchored=True) or self._month(end, anchored=True)
        if day is None or day.period.start is None or day.period.grain not in {"day", "month"}:
            return None
        period = day.period
        # "Ending" alone is a word of the future; here it is not.
        far = self._on(day.period.start) - self._today > _HALF_A_YEAR
        if far and not _YEAR_SAID.match(self._at(day.end - 1)):
            period = period.shift("year", -1)
        if unit is None or period.end is None:
            return Found(day.end, period.until())
        return Found(day.end, Period(period.end.shift(unit, -count), period.end))
