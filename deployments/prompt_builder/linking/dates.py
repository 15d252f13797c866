"""Date expressions of a question to half-open ranges.

One rule for relation words: the words that open or close a range ("since", "after", "before", "until", "from … on",
"older than") are part of the expression, so that a query can nearly always say ``date in D0``. Words that only place
a closed range ("in", "on", "for", "from last week") stay in the text; "over", "during" and "within" in front of a range
are dropped. Relative expressions give SQL that stays relative to CURRENT_DATE.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.calendar import Moment, Period, Unit
from deployments.prompt_builder.linking.numerals import small_integer
from deployments.prompt_builder.linking.points import MONTHS, UNIT_WORDS, WEEKDAYS, Found, Points

_TO_DATE = {"ytd": "year", "mtd": "month", "qtd": "quarter", "wtd": "week"}
_SAME = {"period", "stretch", "time", "span", "point", "window", "months", "days", "weeks", "part", "dates"}
_TRIGGERS = frozenset(
    [
        "today",
        "yesterday",
        "tomorrow",
        "this",
        "current",
        "last",
        "previous",
        "prior",
        "past",
        "next",
        "coming",
        "upcoming",
        "trailing",
        "preceding",
        "the",
        "a",
        "same",
        "since",
        "after",
        "before",
        "until",
        "from",
        "starting",
        "beginning",
        "between",
        "by",
        "through",
        "up",
        "to",
        "as",
        "on",
        "no",
        "older",
        "newer",
        "earlier",
        "later",
        "within",
        "over",
        "during",
        "throughout",
        "more",
        "so",
        "year",
        "month",
        "quarter",
        "week",
        "day",
        "in",
        "for",
        "early",
        "late",
        "at",
        "first",
        "second",
        "third",
        "fourth",
        "calendar",
        "fiscal",
        "fy",
        "start",
        "end",
        "dated",
    ]
)


@dataclass(frozen=True, slots=True)
class DateMatch:
    """Words [start, end) of the question and the period they mean."""

    start: int
    end: int
    period: Period


class DateGrammar:
    """Finds date expressions in one question's canonical words."""

    def __init__(self, words: list[str], capital: list[bool], today: date, future: bool) -> None:
        self._words = words
        self._today = today
        self._points = Points(words, capital, today, future)
        self._future = future

    def match(self, i: int) -> DateMatch | None:
        """The longest date expression that begins at word ``i``."""
        word = self._words[i]
        if not (word in _TRIGGERS or word in MONTHS or word in _TO_DATE or self._may_begin(word)):
            return None
        found = self._related(i) or self._spanning(i) or self._points.point(i)
        return DateMatch(i, found.end, found.period) if found else None

    @staticmethod
    def _may_begin(word: str) -> bool:
        head = word[0]
        return (
            head.isdigit()
            or head in "q'h"
            or word in WEEKDAYS
            or small_integer(word) is not None
            or word == "fy"
            or (head == "f" and word[1:2] == "y")
        )

    def _at(self, i: int) -> str:
        return self._words[i] if i < len(self._words) else ""

    def _follows(self, i: int, *words: str) -> bool:
        return self._words[i : i + len(words)] == list(words)

    # ------------------------------------------------------------ relation + point

    def _related(self, i: int) -> Found | None:
        word = self._words[i]
        handler = _RELATIONS.get(word)
        if handler is None:
            return None
        found: Found | None = handler(self, i)
        return found

    def _since(self, i: int) -> Found | None:
        found = self._anchor(i + 1)
        if found is None:
            return None
        end = found.end + 1 if self._at(found.end) in {"onwards", "onward", "on", "forward"} else found.end
        return Found(end, found.period.since())

    def _after(self, i: int) -> Found | None:
        found = self._anchor(i + 1)
        return Found(found.end, found.period.after()) if found and not self._owns(found) else None

    def _before(self, i: int) -> Found | None:
        found = self._anchor(i + 1)
        return Found(found.end, found.period.before()) if found and not self._owns(found) else None

    def _owns(self, found: Found) -> bool:
        """ "before tomorrow's call" is about the call."""
        return self._at(found.end) == "'s"

    def _until(self, i: int) -> Found | None:
        found = self._anchor(i + 1)
        return Found(found.end, found.period.until()) if found else None

    def _up(self, i: int) -> Found | None:
        return self._until(i + 1) if self._at(i + 1) in {"to", "until", "through"} else None

    def _as_of(self, i: int) -> Found | None:
        if self._at(i + 1) != "of" or self._at(i + 2) in {"today", "now"}:
            return None
        return self._until(i + 1)

    def _by(self, i: int) -> Found | None:
        """A deadline: only explicit dates and ends of periods, for "by month" groups and "by last year" is not said."""
        nxt = self._at(i + 1)
        explicit = (
            nxt in MONTHS or nxt[:1].isdigit() or nxt in WEEKDAYS or nxt in {"tomorrow", "end", "new", "year"}
        )
        if nxt == "the":
            explicit = (
                self._at(i + 2) in {"end", "start", "beginning", "new"} or self._at(i + 2)[:1].isdigit()
            )
        if nxt == "year" and self._at(i + 2) != "end":
            return None
        return self._until(i) if explicit else None

    def _on_or(self, i: int) -> Found | None:
        if self._at(i + 1) != "or":
            return None
        if self._at(i + 2) in {"before", "until"}:
            return self._until(i + 2)
        return self._since(i + 2) if self._at(i + 2) in {"after", "since"} else None

    def _no_later(self, i: int) -> Found | None:
        if self._follows(i + 1, "later", "than"):
            return self._until(i + 2)
        return self._since(i + 2) if self._follows(i + 1, "earlier", "than") else None

    def _prior(self, i: int) -> Found | None:
        return self._before(i + 1) if self._at(i + 1) == "to" else None

    def _earlier(self, i: int) -> Found | None:
        if self._at(i + 1) != "than":
            return None
        ago = self._quantity(i + 2)
        if ago is not None and self._words[i] in {"older", "newer"}:
            moment = Moment().shift(ago[2], -ago[1])
            return Found(ago[0], Period(None, moment) if self._words[i] == "older" else Period(moment, None))
        return self._before(i + 1) if self._words[i] in {"earlier", "older"} else self._after(i + 1)

    def _starting(self, i: int) -> Found | None:
        return self._since(i + 1 if self._at(i + 1) in {"from", "on", "in", "with"} else i)

    def _dated(self, i: int) -> Found | None:
        return None

    def _from(self, i: int) -> Found | None:
        """ "from X to Y" is a span, "from X on" opens a range; "from last week" is left to the point itself."""
        spanned = self._span(i + 1, {"to", "through", "until", "up"})
        if spanned is not None:
            return spanned
        found = self._anchor(i + 1)
        if found is None:
            return None
        if self._at(found.end) in {"onwards", "onward", "forward", "on"}:
            return Found(found.end + 1, found.period.since())
        return None

    def _between(self, i: int) -> Found | None:
        return self._span(i + 1, {"and", "to"})

    def _range_word(self, i: int) -> Found | None:
        """ "over", "during", "within", "for" in front of a rolling range are dropped with it."""
        word = self._words[i]
        if word in {"over", "more", "for"}:
            old = self._age(i)
            if old is not None:
                return old
        if word == "more":
            return None
        if word in {"within", "in"}:
            ahead = self._ahead(i)
            if ahead is not None:
                return ahead
        if word in {"in", "for"}:
            return None
        found = self._points.point(i + 1)
        return found if found is None or (word == "over" and found.period.grain == "day") else found

    def _age(self, i: int) -> Found | None:
        """ "more than 60 days ago", "over 90 days old", "for more than a year"."""
        waiting = self._words[i] == "for"
        j = i + 1 if waiting else i
        if self._at(j) == "more" and self._at(j + 1) == "than":
            j += 2
        elif self._at(j) == "over":
            j += 1
        elif waiting and self._follows(j, "at", "least"):
            j += 2
        else:
            return None
        ago = self._quantity(j)
        if ago is None:
            return None
        if self._at(ago[0]) in {"ago", "old", "back"}:
            return Found(ago[0] + 1, Period(None, Moment().shift(ago[2], -ago[1])))
        return Found(ago[0], Period(None, Moment().shift(ago[2], -ago[1]))) if waiting else None

    def _ahead(self, i: int) -> Found | None:
        """ "within 30 days", "within six months from today"; "in 30 days" when the question looks ahead."""
        quantity = self._quantity(i + 1)
        if quantity is None or (self._words[i] == "in" and not self._future):
            return None
        end, count, unit = quantity
        if self._follows(end, "from", "today") or self._follows(end, "from", "now"):
            return Found(end + 2, calendar.rolling_future(unit, count))
        if self._words[i] == "within" and self._at(end) in {"of", "before", "after"}:
            return None
        return Found(end, calendar.rolling_future(unit, count))

    def _quantity(self, i: int) -> tuple[int, int, Unit] | None:
        return self._points.quantity(i)

    # ------------------------------------------------------------ anchors and spans

    def _anchor(self, i: int) -> Found | None:
        """A point after a relation word: also ends and starts of periods, new year, and days counted back."""
        if self._at(i) == "the" and self._at(i + 1) in {"new"}:
            i += 1
        if self._follows(i, "new", "year") or self._follows(i, "new", "years"):
            return Found(i + 2, calendar.relative("year", 1))
        if self._at(i) in UNIT_WORDS and self._at(i + 1) == "end":
            return Found(i + 2, calendar.relative(UNIT_WORDS[self._at(i)], 0))
        return self._spanning(i) or self._points.point(i, anchored=True)

    def _spanning(self, i: int) -> Found | None:
        return self._span(i, {"to", "through", "until"})

    def _span(self, i: int, joints: set[str]) -> Found | None:
        """Two points joined: "march to june 2026", "jan 5 and feb 10 2026", "jan 5 to 10, 2026"."""
        first = self._points.point(i, anchored=True)
        if first is None:
            return None
        j = first.end
        if self._at(j) not in joints:
            return None
        j += 2 if self._at(j) == "up" and self._at(j + 1) == "to" else 1
        if self._at(j) in {"and", "including"}:
            j += 1
        if self._at(j) in {"today", "now", "date", "present"}:
            return Found(j + 1, Period(first.period.start, Moment(days=1)))
        second = self._points.point(j, anchored=True) or self._points.same_month_day(i, j)
        if second is None or first.period.start is None or second.period.end is None:
            return None
        start, end = first.period.start, second.period.end
        if start.resolve(self._today) >= end.resolve(self._today):
            start = start.shift("year", -1)
            if start.resolve(self._today) >= end.resolve(self._today):
                return None
        return Found(second.end, Period(start, end))


_RELATIONS = {
    "since": DateGrammar._since,
    "after": DateGrammar._after,
    "before": DateGrammar._before,
    "until": DateGrammar._until,
    "through": DateGrammar._until,
    "up": DateGrammar._up,
    "as": DateGrammar._as_of,
    "by": DateGrammar._by,
    "on": DateGrammar._on_or,
    "no": DateGrammar._no_later,
    "prior": DateGrammar._prior,
    "earlier": DateGrammar._earlier,
    "later": DateGrammar._earlier,
    "older": DateGrammar._earlier,
    "newer": DateGrammar._earlier,
    "starting": DateGrammar._starting,
    "beginning": DateGrammar._starting,
    "from": DateGrammar._from,
    "between": DateGrammar._between,
    "over": DateGrammar._range_word,
    "during": DateGrammar._range_word,
    "throughout": DateGrammar._range_word,
    "within": DateGrammar._range_word,
    "more": DateGrammar._range_word,
    "in": DateGrammar._range_word,
    "for": DateGrammar._range_word,
}


def looks_ahead(words: list[str], cues: frozenset[str]) -> bool:
    """Whether the question speaks of the future, which moves undated months ahead."""
    return not cues.isdisjoint(words)


def last_weekday(today: date, weekday: int, strictly: bool) -> date:
    """The most recent ``weekday`` (Monday 0); ``strictly`` leaves out today itself."""
    back = (today.weekday() - weekday) % 7
    return today - timedelta(days=back or (7 if strictly else 0))
