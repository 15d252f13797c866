"""Periods told from today: "this month", "last 30 days", "two weeks ago", "last friday"."""

from itertools import pairwise

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Moment, Period, Unit
from deployments.prompt_builder.linking.numerals import SCALES, TENS, UNITS, small_integer
from deployments.prompt_builder.linking.reading import (
    AHEAD,
    CURRENT,
    PAST,
    UNIT_WORDS,
    WEEKDAYS,
    WHOLE,
    Found,
    Reader,
)

# Behind these, a weekday is any of its name.
_REPEATED = frozenset(
    {"a", "any", "every", "each", "per", "by", "of", "is", "and", "or", "to", "than", "versus", ",", "like"}
    | {
        "which",
        "not",
        "but",
        "except",
        "starting",
        "starts",
        "start",
        "day",
        "weekday",
        "through",
        "/",
        "the",
        "all",
    }
)
_SEVERAL = frozenset({"the", "over", "in", "during", "these", "for", "of"})
_STEPPING = frozenset({"by", "per", "each", "every", "over", "a", "to", "which", "what", "and"})
_COMPARING = frozenset({"from", "versus", "against", "to", "over", "on", "with", "than"})
_CHANGES = frozenset({"change", "difference", "growth", "movement", "delta"})
_OPEN_PAST = frozenset({"last", "past", "trailing"})
_DAYS_SAID = frozenset({30, 45, 60, 90, 120, 180, 365})
_MONTHS_SAID = frozenset({3, 6, 12, 18, 24})
_WINDOWED = frozenset({"average", "averages", "mean", "median", "sum", "sums", "total", "totals", "window"})
_JOINING = frozenset({"of", "to", "and", "or", "per"})
_LISTING = frozenset(
    {"show", "list", "give", "get", "see", "find", "tell", "me", "us", "pull", "print", "want", "need"}
)
_MAX_COUNT = 4000  # "the last 5000 days" is no range that a question means


class RelativeReader(Reader):
    """Reads calendar periods, rolling ranges, days ago and weekdays."""

    def _relative(self, i: int) -> Found | None:
        """As in "this month", "last 30 days", "previous two full months", "week before last"."""
        word = self._at(i)
        if word in {"week", "month", "quarter", "year"} and self._at(i + 1) == "before":
            return self._before_last(i, UNIT_WORDS[word])
        if word == "day" and self._at(i + 1) == "before" and self._at(i + 2) == "yesterday":
            return Found(i + 3, calendar.relative("day", -2))
        if word in {"this", "same"} and self._at(i + 1) == "time" and self._at(i + 2) in {"last", "previous"}:
            return Found(i + 4, year_to_date_shifted()) if self._at(i + 3) == "year" else None
        if word == "rolling":
            return self._rolling(i)
        if word not in CURRENT and word not in PAST and word not in AHEAD:
            return None
        j = i + 1
        if word in CURRENT and self._at(j) in CURRENT:
            j += 1
        whole = self._at(j) in WHOLE
        j += whole
        if self._at(j) == "weekend":
            return self._weekend(j + 1, word)
        unit = UNIT_WORDS.get(self._at(j))
        if unit is not None and (not self._at(j).endswith("s") or self._owned(i)):
            return None if self._is_step(i, unit) else self._single(j + 1, word, unit)
        quantity = self.quantity(j)
        if quantity is None and word in _OPEN_PAST:
            return self._unit_left_out(i)
        if quantity is None or word in CURRENT:
            return None
        end, count, unit = quantity
        whole = whole or self._words[j + 1] in WHOLE
        if word in AHEAD:
            return Found(
                end, calendar.relative(unit, 1, count) if whole else calendar.rolling_future(unit, count)
            )
        if whole or unit == "quarter":
            return Found(end, calendar.relative(unit, -count, count))
        recent = calendar.rolling_past(unit, count)
        if word in {"previous", "prior", "preceding"} and {"last", "past"} & set(self._words[:i]):
            return Found(end, Period(Moment().shift(unit, -2 * count), recent.start))
        return Found(end, recent)

    def _rolling(self, i: int) -> Found | None:
        """As in "spend of the rolling 12 months"; that of a rolling average is the width of its window."""
        quantity = self.quantity(i + 1)
        if quantity is None or not self._at(quantity[0] - 1).endswith("s"):
            return None
        end, count, unit = quantity
        return None if self._at(end) in _WINDOWED else Found(end, calendar.rolling_past(unit, count))

    def _unit_left_out(self, i: int) -> Found | None:
        """Days of "in the last 90", months of "trailing 12"; where nothing follows that they could count."""
        number, behind = small_integer(self._at(i + 1)), self._at(i + 2)
        trailing = self._at(i) == "trailing"
        if number is None or not (trailing or (self._ends(behind) and not self._is_listed(i))):
            return None
        if self._at(i) == "past" and self._at(i - 1) not in _SEVERAL:
            return None  # "past 90" is beyond it
        if trailing and number in _MONTHS_SAID:
            return Found(i + 2, calendar.rolling_past("month", number))
        return Found(i + 2, calendar.rolling_past("day", number)) if number in _DAYS_SAID else None

    def _ends(self, word: str) -> bool:
        return not word.isalnum() or (word in self._english.stop_words and word not in _JOINING)

    def _is_listed(self, i: int) -> bool:
        """Whether rows are asked for: "show me the last 30"."""
        return self._at(i - 2 if self._at(i - 1) == "the" else i - 1) in _LISTING

    def _owned(self, i: int) -> bool:
        """Whether the apostrophe was left out: "last weeks spend", but not "over the last weeks"."""
        return self._at(i) in {"this", "last", "next"} and self._at(i - 1) not in _SEVERAL

    def steps(self) -> set[Unit]:
        """The units by which the question goes: "monthly", "by week", "each quarter", "year over year"."""
        words, named = self._words, self._english.step_words
        found = {named[word] for word in words if word in named}
        for before, word in pairwise(words):
            if before in _STEPPING and word in UNIT_WORDS:
                found.add(UNIT_WORDS[word])
        return found

    def _is_step(self, i: int, unit: Unit) -> bool:
        """Whether the step of a change is meant: "monthly spend and the change from the prior month"."""
        if self._at(i) not in {"previous", "prior", "preceding"}:
            return False
        before = self._at(i - 2) if self._at(i - 1) == "the" else self._at(i - 1)
        if before not in _COMPARING or not (unit in self.steps() or self._changed(i)):
            return False
        return not any(a in CURRENT and UNIT_WORDS.get(b) == unit for a, b in pairwise(self._words))

    def _changed(self, i: int) -> bool:
        """Whether a change is compared: "growth over the previous month"."""
        j = i - 3 if self._at(i - 1) == "the" else i - 2
        return self._at(j - (self._at(j) == "percent")) in _CHANGES

    def _gone(self, i: int) -> Found | None:
        """As in "the month that passed", "the two weeks just gone"; the article stands before."""
        unit = UNIT_WORDS.get(self._at(i))
        end, count = i + 1, 0
        if unit is None or self._at(i).endswith("s"):
            quantity = self.quantity(i)
            if quantity is None:
                return None
            end, count, unit = quantity
        for phrase in self._english.just_gone:
            said = phrase.split()
            if self._words[end : end + len(said)] == said:
                period = calendar.rolling_past(unit, count) if count else calendar.relative(unit, -1)
                return Found(end + len(said), period)
        return None

    def _without(self, i: int) -> Found | None:
        """As in "gone 6 months without a bill"."""
        quantity = self.quantity(i) if self._at(i - 1) in {"gone", "went", "going", "go"} else None
        if quantity is None or self._at(quantity[0]) != "without":
            return None
        return Found(quantity[0], calendar.rolling_past(quantity[2], quantity[1]))

    def _before_last(self, i: int, unit: Unit) -> Found | None:
        """As in "the month before last", "last month against the month before (that)"."""
        if self._at(i + 2) in {"last", "that"}:
            return Found(i + 3, calendar.relative(unit, -2))
        k = i - 2 if self._at(i - 1) == "the" else i - 1
        compared = self._at(k) in {"versus", "against", "to", "and", "with", "than", ",", "or"}
        said = self._words[max(0, k - 4) : max(0, k)]
        if compared and self._words[i] in said and not {"this", "last"}.isdisjoint(said):
            return Found(i + 2, calendar.relative(unit, -2 if "last" in said else -1))
        return None

    def _single(self, end: int, word: str, unit: Unit) -> Found | None:
        if word in CURRENT:
            if self._at(end) == "so" and self._at(end + 1) == "far":
                return Found(end + 2, calendar.to_date(unit))
            if self._at(end) == "to" and self._at(end + 1) == "date":
                return Found(end + 2, calendar.to_date(unit))
            return Found(end, calendar.relative(unit, 0))
        if word in AHEAD:
            return Found(end, calendar.relative(unit, 1))
        if self._at(end) == "but" and self._at(end + 1) == "one":
            return Found(end + 2, calendar.relative(unit, -2))
        if word in {"past", "trailing"} and unit != "day":
            return Found(end, calendar.rolling_past(unit, 1))
        if unit == "day":
            return Found(end, calendar.relative("day", -1)) if word == "previous" else None
        return Found(end, calendar.relative(unit, -1))

    def _weekend(self, end: int, word: str) -> Found:
        """Saturday and Sunday of this week, of the next, or the last that are over."""
        monday = Moment(anchor="week")
        weeks = 0 if word in CURRENT else 1 if word in AHEAD else -1
        if word not in CURRENT and word not in AHEAD and self._today.weekday() == 6:
            weeks = -1
        saturday = monday.shift("week", weeks).shift("day", 5)
        return Found(end, Period(saturday, saturday.shift("day", 2)))

    def quantity(self, i: int) -> tuple[int, int, Unit] | None:
        """End, count and unit of "30 days", "two full weeks", "a year", "couple of months"."""
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
        if self._at(j) in WHOLE:
            j += 1
        unit = UNIT_WORDS.get(self._at(j))
        if self._at(j) == "fortnights":
            count, unit = 2 * count, "week"
        if unit is None or not 0 < count < _MAX_COUNT or (unit == "quarter" and self._of_scale(j + 1)):
            return None
        if unit == "year" and self._words[j + 1 : j + 4] == ["and", "a", "half"]:
            return j + 4, 12 * count + 6, "month"
        return j + 1, count, unit

    def _of_scale(self, i: int) -> bool:
        """Of "three quarters of a million"."""
        k = i + 2 if self._at(i) == "of" else i
        return self._at(k) in SCALES

    def _ago(self, i: int) -> Found | None:
        """Counted back: "3 days ago" is that day, "two months ago" the calendar month."""
        quantity = self.quantity(i)
        if quantity is None or self._at(quantity[0]) not in {"ago", "back"}:
            return None
        end, count, unit = quantity
        return Found(end + 1, calendar.relative(unit, -count))

    def _stands_alone(self, i: int) -> bool:
        """As in "monday's shifts" and, last of its clause, "who worked monday"."""
        if self._at(i + 1) == "'s":
            return True
        return i > 0 and self._at(i + 1) in {"", ",", "."} and self._at(i - 1) not in _REPEATED

    def _weekday(self, i: int, anchored: bool) -> Found | None:
        word, which = self._at(i), ""
        if word in CURRENT | {"last", "next", "past", "on"} and self._at(i + 1) in WEEKDAYS:
            which, i = word, i + 1
        elif not anchored and not self._stands_alone(i):
            return None
        weekday = WEEKDAYS.get(self._at(i))
        if weekday is None or (self._at(i + 1) in {"to", "and", "or"} and self._at(i + 2) in WEEKDAYS):
            return None
        ahead = which == "next" or (self._future and which != "last")
        offset = weekday - self._today.weekday()
        if which in CURRENT:
            return Found(i + 1, _weekday_period(0, weekday))
        if ahead:
            return Found(i + 1, _weekday_period(0 if offset > 0 else 1, weekday))
        before = offset < 0 or (offset == 0 and which != "last")
        return Found(i + 1, _weekday_period(0 if before else -1, weekday))


def _weekday_period(weeks: int, weekday: int) -> Period:
    start = Moment(anchor="week").shift("week", weeks).shift("day", weekday)
    return Period(start, start.shift("day", 1), "day")


def year_to_date_shifted() -> Period:
    return Period(Moment(anchor="year").shift("year", -1), Moment(days=1).shift("year", -1))
