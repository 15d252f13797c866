"""Date expressions of a question to half-open ranges.

One rule for relation words: those that open or close a range ("since", "after", "before", "until", "from …
on", "older than") are part of the expression, so that a query can nearly always say ``date in D0``. Words
that only place a closed range ("in", "on", "for", "from last week") stay in the text; "over", "during" and
"within" in front of a range are dropped. Relative expressions give SQL that stays relative to CURRENT_DATE.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from deployments.prompt_builder.linking import calendar
from deployments.prompt_builder.linking.ages import AGE_BEGINNINGS, age, waiting
from deployments.prompt_builder.linking.calendar import Moment, Period
from deployments.prompt_builder.linking.date_words import (
    BEGINNINGS,
    CLAUSE,
    COMPARING,
    COUNTED_FROM,
    DIRECTIONS,
    NEGATIONS,
    NOW,
    ONWARDS,
    PERFECT,
    SENTENCE,
    YEAR_DIGITS,
)
from deployments.prompt_builder.linking.english import English
from deployments.prompt_builder.linking.numerals import small_integer
from deployments.prompt_builder.linking.parts import SEASONS, THIRDS
from deployments.prompt_builder.linking.points import Points
from deployments.prompt_builder.linking.reading import (
    AHEAD,
    MONTHS,
    UNIT_WORDS,
    WEEKDAYS,
    Found,
)


@dataclass(frozen=True, slots=True)
class DateMatch:
    """Words [start, end) of the question and the period they mean."""

    start: int
    end: int
    period: Period


class DateGrammar:
    """Finds date expressions in one question's canonical words.

    ``starting``: nouns for rows that have a start, so that "projects starting next year" start within it.
    """

    def __init__(
        self,
        words: list[str],
        capital: list[bool],
        today: date,
        english: English,
        starting: frozenset[str] = frozenset(),
    ) -> None:
        self._words = words
        self._starting_nouns = starting
        self._today = today
        self._english = english
        self._points = Points(words, capital, today, english)
        self._future = self._points.looks_ahead

    def match(self, i: int) -> DateMatch | None:
        """The longest date expression that begins at word ``i``."""
        word = self._words[i]
        relation = _RELATIONS.get(word)
        number = word[0].isdigit()
        aged = age(self._words, i, self._points.quantity) if number or word in AGE_BEGINNINGS else None
        if aged is not None:
            return DateMatch(i, aged.end, aged.period)
        named = word in BEGINNINGS or word in self._english.holidays
        if relation is None and not named and not self._may_begin(word):
            return None
        found = relation(self, i) if relation is not None else None
        found = found or self._spanning(i) or self._points.point(i)
        return DateMatch(i, found.end, found.period) if found else None

    @staticmethod
    def _may_begin(word: str) -> bool:
        return word[0].isdigit() or word[0] in "qh'" or word[:2] == "fy" or small_integer(word) is not None

    def _at(self, i: int) -> str:
        return self._words[i] if 0 <= i < len(self._words) else ""

    def _follows(self, i: int, *words: str) -> bool:
        return self._words[i : i + len(words)] == list(words)

    # relations

    def _since(self, i: int) -> Found | None:
        found = self._lasting(i + 1)
        if found is not None:
            return found
        found = self._anchor(i + 1)
        if found is None:
            return None
        if self._at(found.end - 1) in NOW and self._at(found.end - 2) in {"until", "to", "through"}:
            return found
        end = found.end + 1 if self._at(found.end) in ONWARDS - {"on"} else found.end
        return Found(end, self._begun(i + 1, found).since())

    def _lasting(self, i: int) -> Found | None:
        """Behind "since" a time, no day: "three months" are the last three, "more than" is before them."""
        longer = 2 if self._follows(i, "more", "than") else 1 if self._at(i) == "over" else 0
        quantity = self._points.quantity(i + longer)
        if quantity is None or self._at(quantity[0]) in COUNTED_FROM:
            return None
        end, count, unit = quantity
        if longer:
            return Found(end, Period(None, Moment().shift(unit, -count)))
        return Found(end, calendar.rolling_past(unit, count))

    def _begun(self, i: int, found: Found) -> Period:
        """The last new year or year's end, where the anchor is the next one."""
        start = found.period.start
        ahead = start is not None and not self._future and start.resolve(self._today) > self._today
        said = self._words[i : found.end]
        if ahead and "new" in said:
            return found.period.shift("year", -1)
        unit = next((UNIT_WORDS[w] for w in said if w in UNIT_WORDS), None)
        return found.period.shift(unit, -1) if ahead and unit and "end" in said else found.period

    def _after(self, i: int) -> Found | None:
        found = self._anchor(i + 1)
        return Found(found.end, found.period.after()) if found and not self._owns(found) else None

    def _before(self, i: int) -> Found | None:
        quantity = None if self._future else self._points.quantity(i + 1)
        if quantity is not None and self._at(quantity[0]) not in COUNTED_FROM:
            # As in "before two months": so say "two months ago" many whose first language is another.
            return Found(quantity[0], calendar.relative(quantity[2], -quantity[1]))
        found = self._anchor(i + 1)
        if found is None or self._owns(found):
            return None
        # What is due before the end of a month may be due on its last day.
        ends = "end" in self._words[i + 1 : found.end]
        return Found(found.end, found.period.until() if ends else found.period.before())

    def _owns(self, found: Found) -> bool:
        """Whether something of that day is meant: "before tomorrow's call"."""
        return self._at(found.end) == "'s"

    def _until(self, i: int) -> Found | None:
        if self._at(i - 1) == "monday" and self._at(i + 1) == "sunday":
            return None  # the days of any week
        if self._at(i + 1) == "today":
            return Found(i + 2, Period(None, Moment(days=1)))
        found = self._anchor(i + 1)
        return Found(found.end, found.period.until()) if found else None

    def _through(self, i: int) -> Found | None:
        """Until the end of a period, unless a verb or a series runs through it: "came through last week"."""
        before = i - 1 if self._words[i - 1 : i] not in (["me"], ["us"]) else i - 2
        ran = before >= 0 and self._words[before] in self._english.through_verbs
        stepped = i > 2 and self._words[i - 2] == "by" and self._words[i - 1] == self._words[i - 3]
        if ran or stepped:
            found = self._points.point(i + 1)
            start = found.period.start if found is not None else None
            if start is not None and start.resolve(self._today) <= self._today:
                # The verb keeps its "through".
                return None if ran else found
        return self._until(i)

    def _up(self, i: int) -> Found | None:
        return self._until(i + 1) if self._at(i + 1) in {"to", "until", "through"} else None

    def _as_of(self, i: int) -> Found | None:
        day = self._at(i + 2)
        dated = day[:1].isdigit() or day in MONTHS or day == "today"
        return self._until(i + 1) if self._at(i + 1) == "of" or (self._at(i + 1) == "on" and dated) else None

    def _by(self, i: int) -> Found | None:
        """A deadline: only explicit dates and ends of periods, since "by month" groups."""
        nxt = self._at(i + 1)
        if self._orders(i):
            return None
        explicit = (
            nxt in MONTHS
            or nxt[:1].isdigit()
            or nxt in WEEKDAYS
            or nxt in {"today", "yesterday", "tomorrow", "end", "new", *THIRDS, *SEASONS}
            or nxt in self._english.holidays
            or (nxt in UNIT_WORDS and "end" in {self._at(i + 2), self._at(i + 3)})
        )
        if nxt == "the":
            opened = self._at(i + 2)
            explicit = opened in {"end", "start", "beginning", "new", "first"} or opened[:1].isdigit()
            explicit = explicit or (opened in UNIT_WORDS and self._at(i + 4) == "end")
        return self._until(i) if explicit else None

    def _orders(self, i: int) -> bool:
        """Whether something of a year follows, nothing due until then: "rank crews by 2025 hours"."""
        noun = self._at(i + 2)
        year = self._at(i + 1).isdigit() and len(self._at(i + 1)) == YEAR_DIGITS
        return year and noun.isalpha() and noun.endswith("s") and noun not in self._english.stop_words

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
        ago = self._points.quantity(i + 2)
        if ago is not None and self._words[i] in {"older", "newer"}:
            moment = Moment().shift(ago[2], -ago[1])
            return Found(ago[0], Period(None, moment) if self._words[i] == "older" else Period(moment, None))
        return self._before(i + 1) if self._words[i] in {"earlier", "older"} else self._after(i + 1)

    def _starting(self, i: int) -> Found | None:
        j = i + 2 if self._at(i + 1) in {"in", "within"} else i + 1
        j += self._at(j) == "the"
        of_rows = not self._starting_nouns.isdisjoint(self._words[max(0, i - CLAUSE) : i])
        if self._at(j) in AHEAD and (j > i + 1 or of_rows or self._words[i - 1 : i] in (["is"], ["are"])):
            # What starts in that period, not what lasts from then on; "starting" stays a verb.
            return None
        return self._since(i + 1 if self._at(i + 1) in {"from", "on", "in", "with"} else i)

    def _compares(self, i: int, first: Found, second: Found) -> bool:
        """Whether a change from one period to the very next is asked: "what went up from 2024 to 2025"."""
        if first.period.grain != second.period.grain or first.period.grain in {"day", "range"}:
            return False
        start, end = first.period.end, second.period.start
        adjoining = start and end and start.resolve(self._today) == end.resolve(self._today)
        cues = self._english.change_cues
        if self._at(i - 1) not in {"from", "between"}:
            # Without a preposition only "2024 to 2025" is both sides; "break down 2024 to 2025" is a stretch.
            if self._at(first.end) != "to" or first.period.grain not in {"quarter", "year"}:
                return False
            cues -= DIRECTIONS
        changing = not cues.isdisjoint(self._words)
        return bool(adjoining and changing and not self._points.steps())

    def _from(self, i: int) -> Found | None:
        """Spans and open ranges; what follows "from" in "from last week" is read by itself."""
        spanned = self._span(i + 1, {"to", "through", "until", "up"})
        if spanned is not None:
            return spanned
        found = self._anchor(i + 1)
        if found is None:
            return None
        on_alone = self._at(found.end) != "on" or self._at(found.end + 1) in {"", ",", ".", ":"}
        if self._at(found.end) in ONWARDS and on_alone:
            return Found(found.end + 1, found.period.since())
        return None

    def _between(self, i: int) -> Found | None:
        return self._span(i + 1, {"and", "to"})

    def _range_word(self, i: int) -> Found | None:
        """Words that are dropped in front of a range, and what they mean before a bare duration."""
        word = self._words[i]
        if (
            word in {"over", "more", "for"}
            and (old := waiting(self._words, i, self._points.quantity)) is not None
        ):
            return old
        if word in {"within", "inside", "in"} and (ahead := self._ahead(i)) is not None:
            return ahead
        return None if word in {"in", "for", "more"} else self._points.point(i + 1)

    def _ahead(self, i: int) -> Found | None:
        """As in "within six months from today", and "in 30 days" of a question that looks ahead."""
        quantity = self._points.quantity(i + 1)
        if quantity is None:
            return None
        end, count, unit = quantity
        if self._words[i] == "in" and not self._future:
            missed = self._missed(i) and self._at(end) not in COUNTED_FROM
            return Found(end, calendar.rolling_past(unit, count)) if missed else None
        if self._follows(end, "from", "today") or self._follows(end, "from", "now"):
            return Found(end + 2, calendar.rolling_future(unit, count))
        if self._words[i] != "in" and self._at(end) in {"of", "before", "after"}:
            return None
        return Found(end, calendar.rolling_future(unit, count))

    def _missed(self, i: int) -> bool:
        """Whether something has not been the case until now: "have not had a payment in 90 days"."""
        said = self._words[max(0, i - SENTENCE) : i]
        return not PERFECT.isdisjoint(said) and not NEGATIONS.isdisjoint(said)

    # anchors and spans

    def _anchor(self, i: int) -> Found | None:
        """A point after a relation word: also new year, always the next one."""
        if self._at(i) == "the" and self._at(i + 1) in {"new"}:
            i += 1
        if self._follows(i, "new", "year") or self._follows(i, "new", "years"):
            return Found(i + 2, calendar.relative("year", 1))
        return self._spanning(i) or self._points.point(i, anchored=True)

    def _spanning(self, i: int) -> Found | None:
        return self._span(i, {"to", "through", "until", "up"})

    def _span(self, i: int, joints: set[str]) -> Found | None:
        """Two points joined: "march to june 2026", "jan 5 and feb 10 2026", "jan 5 to 10, 2026"."""
        if self._at(i) == "monday" and self._at(i + 2) == "sunday":
            return None  # the days of any week
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
        second = self._points.same_month_day(i, j + 1) if self._at(j) == "the" else None
        second = second or self._points.point(j, anchored=True) or self._points.same_month_day(i, j)
        if second is None or first.period.start is None or second.period.end is None:
            return None
        if self._compares(i, first, second):
            return None
        if (
            self._at(first.end) == "to"
            and not COMPARING.isdisjoint(self._words[:i])
            and self._at(i - 1) != "from"
        ):
            return None
        start, end = self._points.same_month_start(i, first, second) or first.period.start, second.period.end
        if start.absolute is None and start.resolve(self._today) >= end.resolve(self._today):
            return None  # two periods, the later one first
        start = self._not_after(start, end)
        if start.resolve(self._today) >= end.resolve(self._today):
            return None
        return Found(second.end, Period(start, end))

    def _not_after(self, start: Moment, end: Moment) -> Moment:
        """The start in an earlier year if it lies behind the end: "from november to february 2026"."""
        first, last = start.resolve(self._today), end.resolve(self._today)
        if first < last:
            return start
        years = last.year - first.year
        earlier = start.shift("year", years)
        return earlier if earlier.resolve(self._today) < last else start.shift("year", years - 1)


_RELATIONS: Final[dict[str, Callable[[DateGrammar, int], Found | None]]] = {
    "since": DateGrammar._since,
    "after": DateGrammar._after,
    "before": DateGrammar._before,
    "until": DateGrammar._until,
    "through": DateGrammar._through,
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
    "inside": DateGrammar._range_word,
    "more": DateGrammar._range_word,
    "in": DateGrammar._range_word,
    "for": DateGrammar._range_word,
}
