"""What all readers of date expressions share: the words of the calendar and a cursor over the question."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from deployments.prompt_builder.linking.calendar import Period, Unit
from deployments.prompt_builder.linking.english import DAY_NAMES, English

# fmt: off
MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november",
    "december",
)
MONTHS: Final = (
    {name: n for n, name in enumerate(MONTH_NAMES, start=1)}
    | {name[:3]: n for n, name in enumerate(MONTH_NAMES, start=1)}
    | {"sept": 9}
)
WEEKDAYS: Final = {name: n for n, name in enumerate(DAY_NAMES)} | {
    "mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4,
}
UNIT_WORDS: Final[dict[str, Unit]] = {
    "day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month",
    "quarter": "quarter", "quarters": "quarter", "year": "year", "years": "year",
}
TO_DATE: Final[dict[str, Unit]] = {"ytd": "year", "mtd": "month", "qtd": "quarter", "wtd": "week"}
CURRENT: Final = frozenset({"this", "current", "present"})
PAST: Final = frozenset({"last", "past", "previous", "prior", "trailing", "preceding"})
AHEAD: Final = frozenset({"next", "coming", "upcoming", "following"})
WHOLE: Final = frozenset({
    "full", "complete", "calendar", "whole", "entire", "fiscal", "completed", "financial",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Found:
    """A period and the word after its expression."""

    end: int
    period: Period


class Reader:
    """The canonical words of one question, and whether it looks ahead: that moves undated months."""

    def __init__(self, words: list[str], capital: list[bool], today: date, english: English) -> None:
        self._words = words
        self._capital = capital
        self._today = today
        self._english = english
        self._future = not english.future_cues.isdisjoint(words)

    @property
    def looks_ahead(self) -> bool:
        return self._future

    def _at(self, i: int) -> str:
        """The word at ``i``, empty outside of the question."""
        return self._words[i] if 0 <= i < len(self._words) else ""
