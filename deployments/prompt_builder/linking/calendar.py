"""Moments and periods that know both their SQL and, for a given today, their date."""

import calendar
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from serve_app.contracts import DateRange

Unit = Literal["day", "week", "month", "quarter", "year"]
Anchor = Literal["day", "week", "sunday", "month", "quarter", "year"]
Grain = Literal["day", "week", "month", "quarter", "year", "range"]
Kind = Literal["day", "week", "month", "quarter", "year", "range", "since", "before", "future"]

_MONTHS_PER = {"month": 1, "quarter": 3, "year": 12}
_DAYS_PER = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Moment:
    """A day: absolute, or the start of today's ``anchor`` unit shifted by whole months and days.

    The anchor "week" is the Monday of today's week, "sunday" the Sunday with which it begins elsewhere.
    """

    absolute: date | None = None
    anchor: Anchor = "day"
    months: int = 0
    days: int = 0

    def shift(self, unit: Unit, count: int) -> "Moment":
        months, days = _MONTHS_PER.get(unit, 0) * count, _DAYS_PER.get(unit, 0) * count
        if self.absolute is not None:
            return Moment(absolute=add_months(self.absolute, months) + timedelta(days=days))
        return replace(self, months=self.months + months, days=self.days + days)

    def sql(self) -> str:
        """A PostgreSQL date or timestamp expression; relative moments stay relative."""
        if self.absolute is not None:
            return f"DATE '{self.absolute.isoformat()}'"
        if self.anchor == "day" and not self.months:
            return "CURRENT_DATE" + (f" {_sign(self.days)} {abs(self.days)}" if self.days else "")
        if self.anchor == "sunday":
            # PostgreSQL's weeks begin on Monday: the week of tomorrow, a day earlier.
            days = self.days - 1
            return (
                f"date_trunc('week', CURRENT_DATE + 1) {_sign(days)} INTERVAL '{_plural(abs(days), 'day')}'"
            )
        base = "CURRENT_DATE" if self.anchor == "day" else f"date_trunc('{self.anchor}', CURRENT_DATE)"
        if self.months:
            base += f" {_sign(self.months)} INTERVAL '{_months_text(abs(self.months), self.anchor)}'"
        if self.days:
            base += f" {_sign(self.days)} INTERVAL '{_days_text(abs(self.days), self.anchor)}'"
        return base

    def resolve(self, today: date) -> date:
        """The date meant when asked on ``today``."""
        if self.absolute is not None:
            return self.absolute
        return add_months(start_of(self.anchor, today), self.months) + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open stretch of days; None is an open side."""

    start: Moment | None
    end: Moment | None
    grain: Grain = "range"

    def to_range(self) -> DateRange:
        return DateRange(
            start_sql=self.start.sql() if self.start else None,
            end_sql=self.end.sql() if self.end else None,
            grain=self.grain,
        )

    def shift(self, unit: Unit, count: int) -> "Period":
        start = self.start.shift(unit, count) if self.start else None
        return Period(start, self.end.shift(unit, count) if self.end else None, self.grain)

    def since(self) -> "Period":
        return Period(self.start, None)

    def after(self) -> "Period":
        return Period(self.end, None)

    def before(self) -> "Period":
        return Period(None, self.start)

    def until(self) -> "Period":
        return Period(None, self.end)

    def from_sunday(self) -> "Period":
        """The same weeks, counted from Sunday; what is no whole week stays."""
        sides = [side for side in (self.start, self.end) if side is not None and side.anchor == "week"]
        if not sides or any(side.days % _DAYS_PER["week"] for side in sides):
            return self
        start, end = (
            replace(side, anchor="sunday") if side is not None and side.anchor == "week" else side
            for side in (self.start, self.end)
        )
        return Period(start, end, self.grain)

    def kind(self, today: date) -> Kind:
        """The type token shown to the model."""
        if self.end is None:
            return "since"
        if self.start is None:
            return "before"
        if self.start.resolve(today) >= today and self.grain == "range":
            return "future"
        return self.grain


def _sign(value: int) -> str:
    return "-" if value < 0 else "+"


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _months_text(months: int, anchor: Anchor) -> str:
    if anchor == "year" and months % 12 == 0:
        return _plural(months // 12, "year")
    return _plural(months, "month")


def _days_text(days: int, anchor: Anchor) -> str:
    if anchor == "week" and days % 7 == 0:
        return _plural(days // 7, "week")
    return _plural(days, "day")


def add_months(day: date, months: int) -> date:
    """The same day ``months`` later, or the month's last day, as PostgreSQL adds months."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def start_of(unit: Anchor, day: date) -> date:
    if unit == "sunday":
        return day - timedelta(days=(day.weekday() + 1) % 7)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=day.month - (day.month - 1) % 3, day=1)
    if unit == "year":
        return day.replace(month=1, day=1)
    return day


def relative(unit: Unit, offset: int, count: int = 1) -> Period:
    """``count`` whole calendar units, the first ``offset`` units from the current one."""
    start = Moment(anchor=unit).shift(unit, offset)
    return Period(start, start.shift(unit, count), unit if count == 1 else "range")


def rolling_past(unit: Unit, count: int) -> Period:
    """The last ``count`` units up to and including today."""
    return Period(Moment().shift(unit, -count), Moment(days=1))


def rolling_future(unit: Unit, count: int) -> Period:
    """Today and the next ``count`` units."""
    return Period(Moment(), Moment(days=1).shift(unit, count))


def to_date(unit: Unit) -> Period:
    """The current unit up to and including today."""
    return Period(Moment(anchor=unit), Moment(days=1))


def absolute(start: date, unit: Unit, count: int = 1) -> Period:
    moment = Moment(absolute=start)
    return Period(moment, moment.shift(unit, count), unit if count == 1 else "range")
