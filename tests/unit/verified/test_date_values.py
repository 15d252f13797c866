"""What constant date expressions mean, checked against the linker's own reckoning and by hand."""

from datetime import date, timedelta
from itertools import product

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.prompt_builder.linking.calendar import Moment, Unit
from deployments.prompt_builder.verified.date_values import (
    REFERENCE_DAYS,
    day_of,
    range_signature,
    read_bound,
    signature,
)
from serve_app.contracts import DateRange

TODAY = date(2024, 5, 31)
UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")
moments = st.builds(
    Moment,
    anchor=st.sampled_from(UNITS),
    months=st.integers(-40, 40),
    days=st.integers(-400, 400),
) | st.builds(Moment, absolute=st.dates(date(1990, 1, 1), date(2090, 1, 1)))


@settings(deadline=None)  # the first call into sqlglot takes long
@given(moments, st.dates(date(2000, 1, 1), date(2080, 1, 1)))
def test_the_linkers_expressions_mean_what_the_linker_says(moment: Moment, today: date) -> None:
    assert day_of(sqlglot.parse_one(moment.sql(), read="postgres"), today) == moment.resolve(today)


@pytest.mark.parametrize(
    ("sql", "day"),
    [
        ("'2024-02-29'::timestamptz", date(2024, 2, 29)),
        ("(date_trunc('quarter', CURRENT_DATE) - INTERVAL '1 day')::date", date(2024, 3, 31)),
        ("CURRENT_DATE - INTERVAL '1 month'", date(2024, 4, 30)),
        ("CURRENT_DATE - '3 days'::interval", date(2024, 5, 28)),
        ("CURRENT_DATE + 1", date(2024, 6, 1)),
        ("'2024-02-30'", None),
        ("'May'", None),
        ("CURRENT_DATE - INTERVAL '1 hour'", None),
        ("CURRENT_DATE - 1.5", None),
        ("CURRENT_DATE - start_date", None),
        ("CURRENT_DATE - INTERVAL '99999 years'", None),
        ("date_trunc('decade', CURRENT_DATE)", None),
        ("now()", None),
        ("start_date", None),
    ],
)
def test_what_people_write(sql: str, day: date | None) -> None:
    assert day_of(sqlglot.parse_one(sql, read="postgres"), TODAY) == day


def test_the_same_days_have_the_same_signature() -> None:
    ways = (
        "date_trunc('month', CURRENT_DATE) - INTERVAL '12 months'",
        "date_trunc('month', CURRENT_DATE - INTERVAL '1 year')",
        "CAST(date_trunc('month', CURRENT_DATE) AS DATE) - INTERVAL '1 year'",
    )
    assert len({signature(sqlglot.parse_one(way, read="postgres")) for way in ways}) == 1


def test_different_days_have_different_signatures() -> None:
    shifts = product(UNITS, (-36, -12, -6, -3, -1, 0, 1, 3), (*range(-31, 32), -366, -365, -364, -90, 365))
    moments = [Moment(anchor=anchor, months=months, days=days) for anchor, months, days in shifts]
    alike: dict[tuple[date, ...], Moment] = {}
    days = [date(2024, 1, 1) + timedelta(days=17 * step) for step in range(90)]
    for moment in moments:
        other = alike.setdefault(tuple(map(moment.resolve, REFERENCE_DAYS)), moment)
        assert [moment.resolve(day) for day in days] == [other.resolve(day) for day in days]


@pytest.mark.parametrize("sql", ["1; DROP TABLE projects", "(SELECT max(date) FROM expenses)", "", "'"])
def test_a_bound_is_nothing_but_a_date(sql: str) -> None:
    assert read_bound(sql) is None
    assert sql == "" or range_signature(DateRange(start_sql=sql, end_sql=None)) is None
