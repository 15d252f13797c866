from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Moment, Unit

UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")
days = st.dates(date(2000, 1, 1), date(2080, 12, 31))


@given(st.sampled_from(UNITS), st.integers(-40, 40), st.integers(1, 12), days)
def test_calendar_periods_tile_time(unit: Unit, offset: int, count: int, today: date) -> None:
    period, following = calendar.relative(unit, offset, count), calendar.relative(unit, offset + count)
    assert period.start is not None
    assert period.end is not None
    assert following.start is not None
    start, end = period.start.resolve(today), period.end.resolve(today)
    assert start < end == following.start.resolve(today)
    assert calendar.start_of(unit, start) == start


@given(st.sampled_from(UNITS), st.integers(1, 60), days)
def test_rolling_ranges_hold_today(unit: Unit, count: int, today: date) -> None:
    for period in (calendar.rolling_past(unit, count), calendar.rolling_future(unit, count)):
        assert period.start is not None
        assert period.end is not None
        assert period.start.resolve(today) <= today < period.end.resolve(today)


@given(st.integers(-600, 600), days)
def test_months_are_added_as_postgresql_does(months: int, day: date) -> None:
    later = calendar.add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (
        later.day < day.day and calendar.add_months(later.replace(day=1), 1).day == 1
    )


@given(st.integers(-40, 40), days)
def test_weeks_from_sunday_hold_the_same_days_but_one(offset: int, today: date) -> None:
    period = calendar.relative("week", offset).from_sunday()
    assert period.start is not None
    assert period.end is not None
    start, end = period.start.resolve(today), period.end.resolve(today)
    assert start.isoweekday() == end.isoweekday() == 7
    assert (end - start).days == 7
    assert (offset == 0) == (start <= today < end)


def test_days_stay_when_weeks_begin_on_sunday() -> None:
    monday = calendar.relative("week", -1)
    assert monday.from_sunday().to_range().start_sql == (
        "date_trunc('week', CURRENT_DATE + 1) - INTERVAL '8 days'"
    )
    for period in (calendar.relative("month", -1), calendar.rolling_past("day", 30)):
        assert period.from_sunday() == period


def test_moments_are_plain_sql() -> None:
    assert Moment().sql() == "CURRENT_DATE"
    assert Moment(days=1).shift("year", -1).sql() == "CURRENT_DATE - INTERVAL '12 months' + INTERVAL '1 day'"
    assert (
        Moment(anchor="year").shift("year", -1).sql()
        == "date_trunc('year', CURRENT_DATE) - INTERVAL '1 year'"
    )
    assert (
        Moment(anchor="week").shift("day", 5).sql() == "date_trunc('week', CURRENT_DATE) + INTERVAL '5 days'"
    )
    assert Moment(absolute=date(2024, 2, 29)).shift("year", 1).sql() == "DATE '2025-02-28'"
