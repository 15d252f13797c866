"""Holidays by rule: "since labor day", "thanksgiving week", "memorial day weekend", "christmas eve 2025"."""

from datetime import date, timedelta
from typing import Final

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Moment, Period
from deployments.prompt_builder.linking.english import Holiday
from deployments.prompt_builder.linking.reading import WEEKDAYS, Found
from deployments.prompt_builder.linking.years import YearReader

# Before a holiday whose name has another meaning too: "labor day" may be a day of labor.
_PLACING: Final = frozenset(
    {"on", "over", "during", "in", "around", "through", "last", "this", "next", "since", "before", "after"}
    | {"by", "until", "from"}
)
_ANY: Final = frozenset({"a", "per", "each", "every", "by", "of", "one", "any", "the"})
# A holiday so far ahead is not meant by a question that looks back.
_SOON: Final = timedelta(days=120)
_SATURDAY: Final = 5


class HolidayReader(YearReader):
    """Reads the holidays of `English.holidays`, their weeks and weekends."""

    def _holiday(self, i: int, anchored: bool) -> Found | None:
        """That of the year said, else of the nearest: "since" looks back, a question of the future ahead."""
        holiday, j = self._english.holidays[self._at(i)], i + 1
        eve = self._at(j) == "eve"
        named = self._at(j) == "day"
        j += eve or named
        year = self._year_behind(j)
        if holiday.needs_day and not (named and (anchored or year is not None or self._is_placed(i, j))):
            return None
        day = holiday_of(holiday, year[1]) if year is not None else self._nearest(i, holiday)
        j = year[0] if year is not None else j
        if self._at(j) == "week":
            return Found(j + 1, calendar.absolute(calendar.start_of("week", day), "week"))
        if self._at(j) == "weekend":
            return Found(j + 1, _weekend_of(day))
        return Found(j, calendar.absolute(day - timedelta(days=eve), "day"))

    def _is_placed(self, i: int, end: int) -> bool:
        """Whether a preposition, "week", the end of a clause or capital letters show the holiday."""
        capital = self._capital[i] and self._capital[end - 1] and not all(self._capital)
        ended = self._at(end) in {"", ",", "."} and self._at(i - 1) not in _ANY
        return self._at(i - 1) in _PLACING or self._at(end) in {"week", "weekend"} or capital or ended

    def _nearest(self, i: int, holiday: Holiday) -> date:
        today = self._today
        days = [holiday_of(holiday, today.year + shift) for shift in (-1, 0, 1)]
        past = max(d for d in days if d <= today)
        if self._at(i - 1) in {"since", "last", "starting"}:
            return past
        if self._future or self._at(i - 1) in {"next", "by"}:
            return min(d for d in days if d >= today)
        nearest = min(days, key=lambda d: abs(d - today))
        return past if nearest - today > _SOON else nearest


def holiday_of(holiday: Holiday, year: int) -> date:
    """The day on which ``holiday`` falls in ``year``."""
    if holiday.day:
        return date(year, holiday.month, holiday.day)
    first = date(year, holiday.month, 1)
    weekday = WEEKDAYS[holiday.weekday]
    if holiday.nth < 0:
        last = calendar.add_months(first, 1) - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % 7)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (holiday.nth - 1))


def _weekend_of(day: date) -> Period:
    """The nearest Saturday and Sunday with the days up to the holiday: three of "labor day weekend"."""
    ahead = (_SATURDAY - day.weekday()) % 7
    saturday = day + timedelta(days=ahead if ahead <= 3 else ahead - 7)
    last = max(day, saturday + timedelta(days=1))
    return Period(Moment(absolute=min(day, saturday)), Moment(absolute=last + timedelta(days=1)))
