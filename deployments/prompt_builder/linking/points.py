"""Single date expressions: a day, a month, a quarter, a rolling or calendar period."""

from datetime import date
from typing import Final

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Moment, Period
from deployments.prompt_builder.linking.parts import PartReader
from deployments.prompt_builder.linking.reading import CURRENT, MONTHS, TO_DATE, UNIT_WORDS, WHOLE, Found
from deployments.prompt_builder.linking.relative import year_to_date_shifted
from deployments.prompt_builder.linking.years import DAY

_SHIFTED: Final = frozenset(
    {"period", "stretch", "time", "span", "point", "window", "months", "days", "weeks", "part", "dates"}
)


class Points(PartReader):
    """Reads one point in time at a given word; `dates.DateGrammar` adds the relations."""

    def point(self, i: int, anchored: bool = False) -> Found | None:
        """``anchored``: a relation word stands before, so bare days and month names need no further sign."""
        word = self._at(i)
        if not word:
            return None
        if word == "the":
            found = self._part_or_name(i + 1, anchored) or self._counted_part(i + 1)
            found = found or self._gone(i + 1) or self._relative(i + 1) or self._edge(i + 1)
            return (
                found
                or self._named_day(i + 1, anchored)
                or (self.point(i + 1, anchored) if anchored else self._of_the(i + 1))
            )
        return (
            self._simple(i)
            or self._part_or_name(i, anchored)
            or self._numeric(i, anchored)
            or self._month(i, anchored)
            or self._counted_part(i)
            or self._named_month(i)
            or self._relative(i)
            or self._ago(i)
            or self._without(i)
            or self._weekday(i, anchored)
            or self._edge(i)
            or self._named_day(i, anchored)
            or self._year(i)
        )

    def _simple(self, i: int) -> Found | None:
        word = self._at(i)
        if word == "today":
            return Found(i + 1, calendar.relative("day", 0))
        if word == "yesterday":
            return Found(i + 1, calendar.relative("day", -1))
        if word == "tomorrow":
            return Found(i + 1, calendar.relative("day", 1))
        if (month := self._year_to_month(i)) is not None:
            return month
        if word in TO_DATE:
            return Found(i + 1, calendar.to_date(TO_DATE[word]))
        if word in UNIT_WORDS and self._at(i + 1) == "to" and self._at(i + 2) == "date":
            return Found(i + 3, calendar.to_date(UNIT_WORDS[word]))
        if (
            word in {"year", "month", "week", "quarter"}
            and self._at(i + 1) == "so"
            and self._at(i + 2) == "far"
        ):
            return Found(i + 3, calendar.to_date(UNIT_WORDS[word]))
        if word == "so" and self._at(i + 1) == "far":
            return self._so_far(i + 2)
        if word == "same":
            return self._same(i + 1)
        if word in {"later", "earlier"} and self._at(i + 1) == "this" and self._at(i + 2) in UNIT_WORDS:
            unit = UNIT_WORDS[self._at(i + 2)]
            ahead = Period(Moment(days=1), calendar.relative(unit, 0).end)
            return Found(i + 3, ahead if word == "later" else calendar.to_date(unit))
        return None

    def _year_to_month(self, i: int) -> Found | None:
        """From January on up to the end of a month: "september ytd 2026", "ytd september"."""
        if "ytd" not in {self._at(i), self._at(i + 1)}:
            return None
        j = i if self._at(i + 1) == "ytd" else i + 1
        if self._at(j) not in MONTHS or not self._is_month(j, anchored=j == i):
            return None
        year = self._year_behind(i + 2)
        value = year[1] if year is not None else self._nearest_year(j, MONTHS[self._at(j)], None)
        january = Moment(absolute=date(value, 1, 1))
        return Found(year[0] if year else i + 2, Period(january, january.shift("month", MONTHS[self._at(j)])))

    def _so_far(self, i: int) -> Found | None:
        if self._at(i) == "in":
            i += 1
        if self._at(i) in CURRENT | {"the"}:
            i += 1
            if self._at(i) in WHOLE | CURRENT:
                i += 1
            unit = UNIT_WORDS.get(self._at(i))
            if unit is not None:
                return Found(i + 1, calendar.to_date(unit))
        year = self._year(i)
        if year is not None and year.period.start is not None:
            return Found(year.end, Period(year.period.start, Moment(days=1)))
        return None

    def _same(self, i: int) -> Found | None:
        """As in "same period last year", "same month of last year"."""
        noun = self._at(i)
        j = i + 1
        while self._at(j) in {"of", "in", "the", "as"}:
            j += 1
        if self._words[j : j + 3] == ["a", "year", "ago"]:
            j += 1
        elif self._at(j) not in {"last", "previous", "prior"} or self._at(j + 1) != "year":
            return None
        if noun in {"month", "quarter", "week", "day"}:
            unit = UNIT_WORDS[noun]
            now = calendar.relative(unit, 0)
            return Found(j + 2, now.shift("year", -1))
        if noun in _SHIFTED:
            return Found(j + 2, year_to_date_shifted())
        return None

    def _named_month(self, i: int) -> Found | None:
        """As in "last march", "this june"."""
        if self._at(i) not in {*CURRENT, "last", "next", "past"} or self._at(i + 1) not in MONTHS:
            return None
        return self._month(i + 1, anchored=True)

    def _edge(self, i: int) -> Found | None:
        """As in "start of the year", "end of march", "last day of last month", "week of november 9"."""
        word, j = self._at(i), i + 1
        if word in {"last", "first", "final"} and self._at(j) == "day":
            word, j = ("start" if word == "first" else "end"), j + 1
        elif word == "very" and self._at(j) in {"start", "end", "beginning"}:
            word, j = self._at(j), j + 1
        elif word not in {"start", "beginning", "end", "week", "month", "year", "turn"}:
            return None
        if self._at(j) != "of":
            return None
        inner = self._unit_point(j + 1)
        if inner is None or inner.period.start is None or inner.period.end is None:
            return None
        start, end = inner.period.start, inner.period.end
        if word in {"start", "beginning", "turn"}:
            return Found(inner.end, Period(start, start.shift("day", 1), "day"))
        if word == "end":
            return Found(inner.end, Period(end.shift("day", -1), end, "day"))
        if word == "week":
            if inner.period.grain != "day" or start.absolute is None:
                return None
            return Found(inner.end, calendar.absolute(calendar.start_of("week", start.absolute), "week"))
        return inner if inner.period.grain == word else None

    def _unit_point(self, i: int) -> Found | None:
        """A period named after "of": "the year", "this month", "march 2026"."""
        j = i + 1 if self._at(i) == "the" else i
        if self._at(j) in UNIT_WORDS:
            return Found(j + 1, calendar.relative(UNIT_WORDS[self._at(j)], 0))
        return self.point(i, anchored=True)

    def _of_the(self, i: int) -> Found | None:
        """What may follow a bare "the": "the weekend", "the current year", "the year 2025"."""
        if self._at(i) == "weekend" and self._at(i - 2) in {"over", "during"}:
            return self._weekend(i + 1, "last")
        if self._at(i) == "year" and self._at(i + 1) == "so":
            return self._simple(i)
        if self._at(i) in {"calendar", "year"} and self._year_number(i + 1):
            return self._year(i + 1)
        return self._simple(i) if self._at(i) == "same" else None

    def _named_day(self, i: int, anchored: bool) -> Found | None:
        """As in "the 15th", "the 1st of this month"."""
        match = DAY.match(self._at(i))
        if self._at(i) == "first" and self._at(i + 1) == "of":
            day, j = 1, i + 1
        elif match is not None and match[2]:
            day, j = int(match[1]), i + 1
        else:
            return None
        if self._at(j) == "of":
            inner = self._unit_point(j + 1)
            whole = {"month", "quarter", "year"} if day == 1 else {"month"}
            if inner is None or inner.period.grain not in whole or inner.period.start is None:
                return None
            start = inner.period.start.shift("day", day - 1)
            return Found(inner.end, Period(start, start.shift("day", 1), "day"))
        if not (anchored or self._at(i - 2) == "on") or self._at(j) in {"quarter", "half"}:
            return None
        start = Moment(anchor="month", months=-1 if day > self._today.day and not self._future else 0).shift(
            "day", day - 1
        )
        return Found(j, Period(start, start.shift("day", 1), "day"))

    def same_month_start(self, i: int, first: Found, second: Found) -> Moment | None:
        """The first day where only the second names its month: "the 1st to the 15th of september"."""
        said = DAY.match(self._at(first.end - 1))
        bare = first.end - i <= 2 and not self._at(i).isdigit()
        start = second.period.start
        if not bare or said is None or start is None or "of" not in self._words[first.end : second.end]:
            return None
        days = start.resolve(self._today).day - int(said[1])
        return start.shift("day", -days) if second.period.grain == "day" and days > 0 else None
