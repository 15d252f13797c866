"""Property 20: Column names, types, ISO 8601 dates, currency, NULLs: consistent JSON, exact to the cent."""

import json
import math
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.executor.formatting import column_info, json_size_bytes, json_text, json_value
from deployments.executor.temporal import iso_date, iso_instant, iso_interval, iso_timestamp
from serve_app.contracts import SemanticType

pytestmark = pytest.mark.property

EPOCH = datetime(2000, 1, 1)
MICROSECOND = timedelta(microseconds=1)
money = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**20), max_value=10**20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.floats(),
    st.text(),
    st.binary(max_size=20),
    st.uuids(),
    st.dates(),
    st.datetimes(),
    st.times(),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3)
)
names = st.text(min_size=1, max_size=63)
NUMBERS = ("int2", "int4", "int8", "numeric", "float8", "money")
OTHERS = ("text", "varchar", "date", "timestamptz", "bool", "jsonb", "uuid", "numeric[]", "project_status")
types = st.sampled_from(NUMBERS + OTHERS)
meanings: st.SearchStrategy[SemanticType] = st.sampled_from(["currency", "percent", "number", "date", "text"])


@settings(max_examples=300)
@given(values)
def test_property_20_formatting_gives_json_and_gives_it_again(value: Any) -> None:
    """Property 20: any value becomes strict JSON that reads back as it was, and NULL becomes null."""
    formatted = json_value(value)
    if value is None:
        assert formatted is None
    text = json.dumps(formatted, allow_nan=False)
    assert json.loads(text) == formatted
    assert json_size_bytes((formatted,)) > 0


@settings(max_examples=300)
@given(money)
def test_property_20_formatting_is_exact_to_the_cent(amount: Decimal) -> None:
    """Property 20: an amount reads back from its JSON as the very same number of cents."""
    formatted = json_value(amount)
    assert Decimal(json.dumps(formatted).strip('"')) == amount
    assert isinstance(formatted, str) == (
        abs(amount) >= 10**13 and (amount % 1 != 0 or abs(amount) > 2**53 - 1)
    )


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**13) + 1, max_value=10**13 - 1))
def test_property_20_formatting_of_averages_is_within_a_cent(average: Decimal) -> None:
    """Property 20: with any number of decimals, what is shown differs by less than half a cent."""
    assert abs(Decimal(json.dumps(json_value(average))) - average) < Decimal("0.005")


@given(st.integers(-(2**63), 2**63 - 1))
def test_property_20_formatting_of_integers_survives_a_double(number: int) -> None:
    """Property 20: an integer that a reader with doubles would change is a string."""
    formatted = json_value(number)
    assert int(formatted) == number
    assert isinstance(formatted, str) or float(formatted) == number


@given(st.dates(), st.datetimes())
def test_property_20_formatting_of_dates_is_iso_8601(day: date, instant: datetime) -> None:
    """Property 20: any date and instant is its ISO 8601 text, from the wire's integers too."""
    microseconds = (instant - EPOCH) // MICROSECOND
    assert json_value(day) == iso_date(((day - EPOCH.date()).days,)) == day.isoformat()
    assert iso_timestamp((microseconds,)) == instant.isoformat()
    assert iso_instant((microseconds,), ZoneInfo("UTC")) == instant.replace(tzinfo=UTC).isoformat()


# PostgreSQL's dates: 4713 BC to 5874897 AD.
@given(st.integers(-2_451_545, 2_145_031_947))
def test_property_20_formatting_of_any_date_keeps_the_order_of_days(days: int) -> None:
    """Property 20: beyond Python's calendar the day after is still the next day."""
    today, tomorrow = calendar(iso_date((days,))), calendar(iso_date((days + 1,)))
    year, month, day = today
    last = tomorrow[2] == 1
    assert tomorrow == ((year + (month == 12), month % 12 + 1, 1) if last else (year, month, day + 1))
    assert not last or day == month_length(year, month)


def calendar(text: str) -> tuple[int, int, int]:
    year, month, day = text.rsplit("-", 2)
    return int(year), int(month), int(day)


def month_length(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


interval_parts = st.tuples(st.integers(-1200, 1200), st.integers(-9999, 9999), st.integers(-(10**15), 10**15))


@given(interval_parts)
def test_property_20_formatting_of_intervals_loses_nothing(parts: tuple[int, int, int]) -> None:
    """Property 20: months, days and microseconds of an interval can be told from its ISO 8601 text."""
    date_part, _, time_part = iso_interval(parts).removeprefix("P").partition("T")
    dates, times = units(date_part), units(time_part)
    assert 12 * dates.get("Y", 0) + dates.get("M", 0) == parts[0]
    assert dates.get("D", 0) == parts[1]
    seconds = 3600 * times.get("H", 0) + 60 * times.get("M", 0) + times.get("S", Decimal(0))
    assert seconds * 1_000_000 == parts[2]


def units(text: str) -> dict[str, Decimal]:
    found, number = {}, ""
    for character in text:
        if character.isalpha():
            found[character], number = Decimal(number), ""
        else:
            number += character
    return found


@given(names, types, st.dictionaries(names.map(str.lower), meanings, max_size=5))
def test_property_20_formatting_describes_columns(
    name: str, type_name: str, semantics: dict[str, SemanticType]
) -> None:
    """Property 20: a column keeps its name; numbers never become text by their name, nor text a number."""
    info = column_info(name, type_name, semantics)
    assert info.name == name
    assert info == column_info(name, type_name, semantics)
    if type_name != "uuid":
        of_numbers = info.semantic_type in ("currency", "percent", "count", "number", "id")
        assert of_numbers == (type_name in NUMBERS)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_property_20_formatting_of_json_columns(value: Any) -> None:
    """Property 20: a json column is the JSON it holds, with its numbers under the rule of all numbers."""
    assert json_text(json.dumps(value)) == json_value(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("NaN"), "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("-0.00"), 0.0),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (b"\x00\xff", "\\x00ff"),
    ],
)
def test_property_20_formatting_of_special_values(value: Any, expected: Any) -> None:
    """Property 20: what JSON has no form for has one documented text."""
    assert json_value(value) == expected
