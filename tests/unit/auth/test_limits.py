"""Calls a minute and questions a day."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.auth.identity import Identity
from serve_app.auth.limits import CallLimits
from serve_app.errors import RateLimited

START = datetime(2026, 5, 4, 23, 59, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def refused_for(limits: CallLimits) -> float | None:
    """Seconds until a call would be let pass; None if it was."""
    try:
        limits.admit(Identity("ann"), is_question=False)
    except RateLimited as refused:
        return refused.retry_after_s
    return None


@given(st.lists(st.floats(0.0, 40.0), max_size=80), st.integers(1, 6))
def test_no_minute_has_more_calls_than_allowed_and_retry_after_is_enough(
    gaps: list[float], most: int
) -> None:
    clock = Clock()
    limits = CallLimits(most, None, clock)
    passed: list[float] = []
    for gap in gaps:
        clock.now += timedelta(seconds=gap)
        wait_s = refused_for(limits)
        if wait_s is not None:
            assert 0 < wait_s <= 60
            # Whoever waits as told is let pass.
            clock.now += timedelta(seconds=wait_s + 0.001)
            assert refused_for(limits) is None
        passed.append(clock.now.timestamp())
    for place in range(len(passed) - most):
        assert passed[place + most] - passed[place] >= 60 - 1e-6


def test_questions_are_counted_by_the_day_and_other_calls_are_not() -> None:
    clock = Clock()
    limits = CallLimits(None, 2, clock)
    ann = Identity("ann", credential_id="k1")
    for _ in range(5):
        limits.admit(ann, is_question=False)
    for _ in range(2):
        limits.admit(ann, is_question=True)
    with pytest.raises(RateLimited, match="2 questions a day") as refused:
        limits.admit(ann, is_question=True)
    assert refused.value.retry_after_s == 60.0
    limits.admit(Identity("ann", credential_id="k2"), is_question=True)
    clock.now += timedelta(seconds=60)
    limits.admit(ann, is_question=True)


def test_a_key_has_limits_of_its_own_and_refusals_count_nothing() -> None:
    clock = Clock()
    limits = CallLimits(1, 1, clock)
    generous = Identity("ann", rate_per_minute=3, daily_questions=50)
    for _ in range(3):
        limits.admit(generous, is_question=True)
    for _ in range(9):
        with pytest.raises(RateLimited, match="3 times a minute"):
            limits.admit(generous, is_question=True)
    clock.now += timedelta(seconds=60)
    limits.admit(generous, is_question=True)
