"""Holidays by rule."""

from datetime import date

import pytest
from pydantic import ValidationError

from deployments.prompt_builder.linking.english import Holiday, load_english
from deployments.prompt_builder.linking.holidays import holiday_of


@pytest.mark.parametrize(
    ("name", "year", "day"),
    [
        ("thanksgiving", 2024, date(2024, 11, 28)),
        ("thanksgiving", 2029, date(2029, 11, 22)),
        ("labor", 2025, date(2025, 9, 1)),
        ("labor", 2026, date(2026, 9, 7)),
        ("memorial", 2027, date(2027, 5, 31)),
        ("memorial", 2026, date(2026, 5, 25)),
        ("presidents", 2026, date(2026, 2, 16)),
        ("christmas", 2026, date(2026, 12, 25)),
    ],
)
def test_day_of_a_year(name: str, year: int, day: date) -> None:
    assert holiday_of(load_english().holidays[name], year) == day


@pytest.mark.parametrize(
    "rule",
    [
        {"month": 5},
        {"month": 5, "day": 3, "weekday": "monday", "nth": 1},
        {"month": 5, "nth": 1},
        {"month": 5, "day": 3, "weekday": "monday"},
        {"month": 5, "weekday": "moonday", "nth": 1},
        {"month": 2, "day": 30},
        {"month": 5, "weekday": "monday", "nth": 5},
    ],
)
def test_a_rule_that_names_no_day_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Holiday.model_validate(rule)
