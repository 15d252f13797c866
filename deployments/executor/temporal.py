"""PostgreSQL's dates, times and intervals as ISO 8601, from the integers of its binary protocol.

The driver's own decoders fail on years outside 1 to 9999 and turn a month into 30 days; these lose nothing.
Years outside 0000 to 9999 are written in ISO 8601's expanded form with a sign (0044 BC is -0043).
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MICROSECONDS = 1_000_000
MICROSECONDS_PER_DAY = 86_400 * MICROSECONDS
INFINITE_DAYS = 2**31
INFINITE_MICROSECONDS = 2**63
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Days from 0000-03-01, where the calendar arithmetic begins, to 2000-01-01, where PostgreSQL's begins.
DAYS_BEFORE_EPOCH = 730_425
DAYS_PER_ERA, YEARS_PER_ERA = 146_097, 400


def iso_date(fields: tuple[int]) -> str:
    """Days since 2000-01-01."""
    (days,) = fields
    return _infinite(days, INFINITE_DAYS) or _calendar_day(days)


def iso_timestamp(fields: tuple[int]) -> str:
    """Microseconds since 2000-01-01, without a time zone."""
    (microseconds,) = fields
    infinite = _infinite(microseconds, INFINITE_MICROSECONDS)
    if infinite:
        return infinite
    days, rest = divmod(microseconds, MICROSECONDS_PER_DAY)
    return f"{_calendar_day(days)}T{_clock(rest)}"


def iso_instant(fields: tuple[int], zone: ZoneInfo) -> str:
    """Microseconds since 2000-01-01 UTC, shown in ``zone``; in UTC where Python's calendar ends."""
    (microseconds,) = fields
    infinite = _infinite(microseconds, INFINITE_MICROSECONDS)
    if infinite:
        return infinite
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).astimezone(zone).isoformat()
    except OverflowError:
        return iso_timestamp(fields) + "+00:00"


def iso_time(fields: tuple[int]) -> str:
    """Microseconds since midnight; 24:00:00 is a value of its own."""
    return _clock(fields[0])


def iso_time_with_zone(fields: tuple[int, int]) -> str:
    """Microseconds since midnight, and the offset in seconds west of UTC."""
    microseconds, west = fields
    minutes, seconds = divmod(abs(west), 60)
    offset = f"{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return f"{_clock(microseconds)}{'-' if west > 0 else '+'}{offset}"


def iso_interval(fields: tuple[int, int, int]) -> str:
    """Months, days and microseconds, which PostgreSQL keeps apart; each part carries its own sign."""
    months, days, microseconds = fields
    years, months = _toward_zero(months, 12)
    hours, rest = _toward_zero(microseconds, 3600 * MICROSECONDS)
    minutes, rest = _toward_zero(rest, 60 * MICROSECONDS)
    date_part = "".join(f"{n}{unit}" for n, unit in ((years, "Y"), (months, "M"), (days, "D")) if n)
    time_part = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if rest:
        sign = "-" if rest < 0 else ""
        time_part += f"{sign}{abs(rest) // MICROSECONDS}{_fraction(abs(rest) % MICROSECONDS)}S"
    if not date_part and not time_part:
        return "PT0S"
    return f"P{date_part}" + (f"T{time_part}" if time_part else "")


def _infinite(value: int, bound: int) -> str | None:
    if value == bound - 1:
        return "infinity"
    return "-infinity" if value == -bound else None


def _calendar_day(days: int) -> str:
    """The proleptic Gregorian day, with years that begin in March, so that leap days come last."""
    era, day_of_era = divmod(days + DAYS_BEFORE_EPOCH, DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = era * YEARS_PER_ERA + year_of_era + (month <= 2)
    written = f"{year:04}" if 0 <= year <= 9999 else f"{year:+05}"
    return f"{written}-{month:02}-{day:02}"


def _clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, MICROSECONDS)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{_fraction(fraction)}"


def _fraction(microseconds: int) -> str:
    return f".{microseconds:06}" if microseconds else ""


def _toward_zero(value: int, unit: int) -> tuple[int, int]:
    quotient, rest = divmod(abs(value), unit)
    return (quotient, rest) if value >= 0 else (-quotient, -rest)
