"""Words around dates, and how far a reader of them looks."""

from typing import Final

from deployments.prompt_builder.linking.parts import NUMBERED, SEASONS, THIRDS
from deployments.prompt_builder.linking.reading import AHEAD, CURRENT, MONTHS, PAST, TO_DATE, WEEKDAYS

# fmt: off
# Words that may begin an expression, beside names of months and weekdays, numbers and relations.
BEGINNINGS: Final = frozenset({
    "today", "yesterday", "tomorrow", "the", "a", "an", "same", "so", "half", "couple", "few", "first",
    "second", "third", "fourth", "calendar", "fiscal", "financial", "fy", "start", "beginning", "end", "turn",
    "very", "year", "month", "quarter", "week", "day", "on", "final", "opening", "closing", "period",
    "rolling", *CURRENT, *PAST, *AHEAD, *MONTHS, *WEEKDAYS, *TO_DATE, *THIRDS, *SEASONS, *NUMBERED,
})
# fmt: on
NOW: Final = frozenset({"today", "now", "date", "present"})
# Behind a time these count it from another day.
COUNTED_FROM: Final = frozenset(
    {"ago", "back", "of", "before", "after", "from", "since", "that", "the", "into"}
)
SENTENCE: Final = 10
CLAUSE: Final = 6
YEAR_DIGITS: Final = 4
# Of a change only behind "from" or "between".
DIRECTIONS: Final = frozenset({"up", "down"})
COMPARING: Final = frozenset({"compare", "compared", "comparing"})
PERFECT: Final = frozenset({"have", "has", "had", "been"})
NEGATIONS: Final = frozenset({"not", "no", "nothing", "never", "nobody"})
ONWARDS: Final = frozenset({"onwards", "onward", "on", "forward"})
