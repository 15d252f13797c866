"""Numbers and amounts of a question: "$1.5m", "five and ten million dollars", "11%", "top five", "a fifth".

Words that only give the unit ("dollars", "percent", "hours") belong to the number. A fraction of something
counts as percent, so that "a fifth of the budget" and "20% of the budget" are one.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from deployments.prompt_builder.linking.numerals import (
    SCALES,
    SUFFIX_SCALES,
    TENS,
    UNITS,
    digits_number,
    spoken_decimals,
    words_number,
)
from deployments.prompt_builder.linking.reading import WEEKDAYS

Unit = Literal["money", "percent", "count", "hours", "days", "weeks", "months", "years", "other"]
Kind = Literal[
    "money", "percent", "count", "hours", "days", "weeks", "months", "years", "times", "rank", "number"
]

# fmt: off
UNIT_KINDS: Final[dict[str, Kind]] = {
    "dollars": "money", "dollar": "money", "bucks": "money", "buck": "money", "usd": "money", "grand":
    "money", "euro": "money", "euros": "money", "eur": "money",
    "percent": "percent", "percentage": "percent", "points": "percent", "hour": "hours", "hours": "hours",
    "day": "days", "days": "days", "week": "weeks", "weeks": "weeks", "month": "months", "months": "months",
    "year": "years", "years": "years", "times": "times", "x": "times", "fold": "times",
}
_SUFFIX_KINDS: Final[dict[str, Kind]] = {
    "x": "times", "h": "hours", "hr": "hours", "hrs": "hours", "pct": "percent", "d": "days",
}
_UNIT_OF_KIND: Final[dict[Kind, Unit]] = {
    "money": "money", "percent": "percent", "count": "count", "hours": "hours", "days": "days",
    "weeks": "weeks",
    "months": "months", "years": "years", "times": "other", "rank": "count", "number": "other",
}
_MULTIPLES: Final = {"twice": 2, "double": 2, "triple": 3, "thrice": 3, "quadruple": 4}
_MULTIPLE_BEFORE: Final = frozenset({
    "the", "of", "what", "its", "their", "that", "our", "as", "average", "median", "a",
})
# "Ten k", "10 g", "ten g's".
_SHORT_THOUSANDS: Final = frozenset({"k", "g", "gs"})
_FRACTIONS: Final = {
    "half": Decimal(50), "halves": Decimal(50), "third": Decimal("33.333333"), "thirds": Decimal("33.333333"),
    "quarter": Decimal(25), "quarters": Decimal(25), "fifth": Decimal(20), "fifths": Decimal(20),
    "tenth": Decimal(10), "tenths": Decimal(10), "eighth": Decimal("12.5"), "eighths": Decimal("12.5"),
}
_ORDINALS: Final = {
    "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth":
    9, "tenth": 10,
}
JOINTS: Final = frozenset({"and", "to", "or", ",", ":", "over", "beyond", "or more"})
# "one" is a number only beside a comparison; elsewhere it is a pronoun.
_ONE_AFTER: Final = frozenset({
    "than", "least", "most", "exactly", "top", "over", "under", "above", "below",
})
_ONE_BEFORE: Final = frozenset({
    "or", "more", "plus", "hundred", "thousand", "million", "billion", "percent", "dollar",
})
_COUNT_AFTER: Final = frozenset({
    "top", "bottom", "first", "last", "next", "best", "worst", "previous", "another",
})
_DEFINITE: Final = frozenset({"our", "their", "these", "those", "my", "both"})
_HALF_AFTER: Final = frozenset({
    "than", "least", "over", "under", "even", "about", "only", "nearly", "almost", "exactly",
})
_HALF_BEFORE: Final = frozenset({
    "of", "done", "way", "complete", "built", "finished", "their", "the", "its", "spent", "used",
    "gone", "through",
    "paid", "full", "empty", "or", "percent",
})
_SPOKEN_BEGINNINGS: Final = frozenset({"a", "an", "dozen", "couple", "half", "quarter"})
# "The two vendors that get the most" are as many as are wanted, not two known ones.
_PARTING: Final = frozenset({"and", ",", ".", ":", "or", "with", "versus"})
_RELATIVE: Final = frozenset({"with", "that", "who", "which", "we", "i", "they"})
_CLAUSE: Final = 8
_IRREGULAR: Final = frozenset({"people", "men", "women"})
# How an answer is laid out: "in two columns".
_LAYOUT: Final = frozenset({"column", "columns"})
_AFTER_CLOCK: Final = frozenset({"", ",", ".", "and", "so", "sharp", "with", "on", "in"})
_DAY_WORDS: Final = frozenset({"today", "tomorrow", "tonight", "this", *WEEKDAYS})
# What stands at a value, not at an hour.
_STANDING: Final = frozenset({
    "rated", "rating", "score", "scored", "stand", "stands", "capped", "stuck", "set", "is", "are", "priced",
    "still", "sit", "sits", "sitting", "cap", "stop", "rate", "count", "look",
})
_COUNT_LIMIT: Final = 1000  # larger bare numbers are amounts, not counts of things
# fmt: on


@dataclass(frozen=True, slots=True)
class AmountMatch:
    """Words [start, end) of the question and the number they mean; a fraction counts as percent."""

    start: int
    end: int
    value: Decimal
    kind: Kind
    scaled: bool = False

    @property
    def unit(self) -> Unit:
        return _UNIT_OF_KIND[self.kind]


class AmountGrammar:
    """Finds numbers in one question's canonical words.

    ``nouns`` are plural nouns for rows, ``superlatives`` those that do not end in -est.
    """

    def __init__(self, words: list[str], nouns: frozenset[str], superlatives: frozenset[str]) -> None:
        self._words = words
        self._nouns = nouns
        self._superlatives = superlatives

    def _at(self, i: int) -> str:
        return self._words[i] if 0 <= i < len(self._words) else ""

    def match(self, i: int) -> AmountMatch | None:
        """The longest number that begins at word ``i``."""
        word = self._words[i]
        if word[0].isdigit() or word[0] == "$" or (word[0] in "-." and len(word) > 1):
            return self._digits(i)
        if word in _MULTIPLES and self._at(i + 1) in _MULTIPLE_BEFORE:
            return AmountMatch(i, i + 1, Decimal(_MULTIPLES[word]), "times")
        if word in UNITS or word in TENS or word in SCALES or word in _SPOKEN_BEGINNINGS:
            return self._spoken(i)
        if word in _ORDINALS and self._is_superlative(i + 1):
            return AmountMatch(i, i + 1, Decimal(_ORDINALS[word]), "rank")
        return None

    # digits

    def _digits(self, i: int) -> AmountMatch | None:
        parsed = digits_number(self._words[i])
        if parsed is None:
            return self._slashed(i)
        value, suffix, currency = parsed
        if not suffix and not currency and self._is_clock(i, value):
            return None
        end, kind, scaled = i + 1, "money" if currency else None, False
        if suffix in {"st", "nd", "rd", "th"}:
            return AmountMatch(i, end, value, "rank") if self._is_superlative(end) else None
        if suffix in {"am", "pm"}:
            return None
        if suffix == "kg":
            return AmountMatch(i, end, value, "number")
        if suffix in SUFFIX_SCALES:
            value, scaled = value * SUFFIX_SCALES[suffix], True
        elif suffix in _SUFFIX_KINDS:
            return AmountMatch(i, end, value, _SUFFIX_KINDS[suffix])
        elif suffix:
            return None
        half = self._words[end : end + 3] == ["and", "a", "half"]
        if half and self._at(end + 3) in SCALES:
            value, end = value + Decimal("0.5"), end + 3
        scale = 1
        while self._at(end) in SCALES or (self._at(end) in SUFFIX_SCALES and not scaled):
            word = self._at(end)
            scale = SCALES.get(word) or SUFFIX_SCALES[word]
            value, scaled, end = value * scale, True, end + 1
            if word == "grand":
                kind = "money"
        if self._at(end) == "dozen":
            value, end = value * 12, end + 1
        if self._words[end : end + 3] == ["and", "a", "half"]:
            value, end = value + Decimal("0.5") * (scale if scale >= _COUNT_LIMIT else 1), end + 3
        return self._with_unit(i, end, value, kind, scaled)

    def _is_clock(self, i: int, value: Decimal) -> bool:
        """Whether a bare number is a time of day: "3 pm", "10:30", "at 10"."""
        behind, before = self._at(i + 1), self._at(i - 1)
        if not 0 <= value <= 59 or not self._at(i).isdigit():
            return False
        if behind == ":" and len(self._at(i + 2)) == 2 and self._at(i + 2).isdigit():
            return value <= 24
        if before == ":" and len(self._at(i)) == 2 and self._at(i - 2).isdigit():
            return True
        if behind in {"am", "pm", "oclock"}:
            return value <= 12
        listed = behind in {"and", ",", "or"} and self._at(i + 2)[:1].isdigit()
        ended = (behind in _AFTER_CLOCK and not listed) or behind in _DAY_WORDS
        return before == "at" and 1 <= value <= 12 and ended and self._at(i - 2) not in _STANDING

    def _slashed(self, i: int) -> AmountMatch | None:
        """Of "1/4 of the budget"."""
        top, _, bottom = self._words[i].partition("/")
        if not (top.isdigit() and bottom.isdigit()) or not 0 < int(top) < int(bottom) <= 10:
            return None
        return AmountMatch(i, i + 1, round(Decimal(100 * int(top)) / int(bottom), 6), "percent")

    # words

    def _spoken(self, i: int) -> AmountMatch | None:
        word = self._at(i)
        if word in {"a", "an"}:
            return self._after_article(i)
        if word == "half":
            return self._half(i, i)
        if word == "quarter":
            return self._share_of_scale(i, i, Decimal(1))
        if word == "couple":
            return self._couple(i, i)
        if word == "one" and not self._one_counts(i):
            return None
        found = words_number(self._words, i)
        if found is None:
            return None
        end, value = found
        if self._at(end) in _FRACTIONS and self._at(end) != "half" and 0 < value < 10:
            return self._fraction(i, end, value)
        plain_word = end == i + 1 and word in UNITS
        if plain_word and (self._at(end) in _LAYOUT or self._is_definite(i, end, value)):
            return None
        scaled = value >= 1000 and any(w in SCALES for w in self._words[i:end])
        kind: Kind | None = "money" if "grand" in self._words[i:end] else None
        return self._with_unit(i, end, value, kind, scaled)

    def _is_definite(self, i: int, end: int, value: Decimal) -> bool:
        """Whether known things follow, nothing to count: "our two companies", "between two deliveries"."""
        before = self._at(i - 1)
        if self._is_superlative(end) or (before == "the" and self._heads_ranking(end)):
            return False
        if before == "between":
            return (
                self._at(end) not in JOINTS
                and self._at(end) not in UNIT_KINDS
                and self._at(end) not in SCALES
                and self._at(end) not in _SHORT_THOUSANDS
            )
        return before in _DEFINITE or (value == 2 and before == "the")

    def _heads_ranking(self, i: int) -> bool:
        """Whether the noun at ``i`` is picked by a superlative: "the two vendors getting the most"."""
        opened = self._at(i + 1) in _RELATIVE or self._at(i + 1).endswith("ing")
        several = self._at(i).endswith("s") or self._at(i) in _IRREGULAR
        if not several or not opened or self._at(i - 3) in {"of", "between"}:
            return False
        for j in range(i + 2, min(i + _CLAUSE, len(self._words))):
            if self._at(j) in _PARTING:
                return False
            if self._is_superlative(j):
                return True
        return False

    def _after_article(self, i: int) -> AmountMatch | None:
        word = self._at(i + 1)
        if word in {"hundred", "thousand", "million", "billion", "grand", "dozen"}:
            if word in {"grand", "billion"}:
                return self._with_unit(
                    i, i + 2, Decimal(SCALES[word]), "money" if word == "grand" else None, True
                )
            found = words_number(self._words, i + 1)
            kind: Kind | None = "money" if found and "grand" in self._words[i : found[0]] else None
            return self._with_unit(i, found[0], found[1], kind, word != "dozen") if found else None
        if word == "couple":
            return self._couple(i, i + 1)
        if word in {"half", "quarter"} and (share := self._share_of_scale(i, i + 1, Decimal(1))):
            return share
        if word in _FRACTIONS and word not in {"half", "halves"}:
            joined = self._at(i + 2)
            if word == "quarter" and joined != "of" and self._at(i - 1) != "than":
                return None
            return self._fraction(i, i + 1, Decimal(1))
        return None

    def _couple(self, start: int, i: int) -> AmountMatch | None:
        end = i + 2 if self._at(i + 1) == "of" else i + 1
        end += self._at(end) in {"a", "an"} and self._at(end + 1) in SCALES
        return self._scaled_by(start, end, Decimal(2))

    def _scaled_by(self, start: int, end: int, value: Decimal) -> AmountMatch:
        """``value`` times the scales at ``end``: "couple hundred grand"."""
        first = end
        while self._at(end) in SCALES:
            value, end = value * SCALES[self._at(end)], end + 1
        kind: Kind | None = "money" if "grand" in self._words[first:end] else None
        return self._with_unit(start, end, value, kind, value >= 1000)

    def _half(self, start: int, i: int) -> AmountMatch | None:
        if (share := self._share_of_scale(start, i, Decimal(1))) is not None:
            return share
        if self._at(i - 1) in {"first", "second", "last"}:
            return None
        if self._at(i - 1) in _HALF_AFTER or self._at(i + 1) in _HALF_BEFORE:
            return AmountMatch(i, i + 1, Decimal(50), "percent")
        return None

    def _share_of_scale(self, start: int, i: int, count: Decimal) -> AmountMatch | None:
        """An amount, not a share: "half a million", "quarter million", "three quarters of a million"."""
        j = i + 2 if self._at(i + 1) == "of" else i + 1
        articled = self._at(j) in {"a", "one"}
        share = _FRACTIONS[self._at(i)]
        direct = j == i + 1 and not articled
        j += articled
        if SCALES.get(self._at(j), 0) < _COUNT_LIMIT or (direct and 100 % share):
            return None
        return self._scaled_by(start, j, count * share / 100)

    def _fraction(self, start: int, i: int, count: Decimal) -> AmountMatch | None:
        """Of "a fifth", "two fifths"; "a third of a million" is an amount."""
        amount = self._share_of_scale(start, i, count)
        if amount is not None:
            return amount
        value = min(count * _FRACTIONS[self._at(i)], Decimal(100))
        return AmountMatch(start, i + 1, value, "percent")

    def _one_counts(self, i: int) -> bool:
        behind = self._at(i + 1)
        if behind == "point" and spoken_decimals(self._words, i + 1):
            return True
        return behind in _ONE_BEFORE or behind in _FRACTIONS or self._at(i - 1) in _ONE_AFTER

    # units

    def _with_unit(self, start: int, end: int, value: Decimal, kind: str | None, scaled: bool) -> AmountMatch:
        j = end
        if self._at(j) == "cents":
            return AmountMatch(start, j + 1, value / 100, "money", scaled)
        if self._at(j) == "per" and self._at(j + 1) == "cent":
            return AmountMatch(start, j + 2, value, "percent", scaled)
        if self._at(j) in {"man", "full", "whole", "working", "calendar"} and self._at(j + 1) in UNIT_KINDS:
            j += 1
        word = self._at(j)
        if word in _SHORT_THOUSANDS and 0 < value < _COUNT_LIMIT:
            return AmountMatch(start, j + 1 + (self._at(j + 1) == "'s"), value * 1000, "money", True)
        unit = UNIT_KINDS.get(word)
        if unit == "percent" and word == "percent" and self._at(j + 1) == "points":
            j += 1
        if word == "or more" and self._at(j + 1) in UNIT_KINDS:
            return AmountMatch(start, end, value, UNIT_KINDS[self._at(j + 1)], scaled)
        if unit is not None and not (unit == "money" and word == "dollar" and self._at(j + 1) in self._nouns):
            return AmountMatch(start, j + 1, value, unit, scaled)
        if kind == "money":
            return AmountMatch(start, end, value, "money", scaled)
        return AmountMatch(start, end, value, self._bare_kind(start, end, value, scaled), scaled)

    def _bare_kind(self, start: int, end: int, value: Decimal, scaled: bool) -> Kind:
        if scaled:
            return "money"
        if value == value.to_integral_value() and 0 <= value <= _COUNT_LIMIT:
            counted = (
                self._at(start - 1) in _COUNT_AFTER
                or self._at(end) in self._nouns
                or self._is_superlative(end)
            )
            if counted or (self._is_superlative(start - 1) and self._at(start - 1) not in {"least", "most"}):
                return "count"
        return "number"

    def _is_superlative(self, i: int) -> bool:
        word = self._at(i)
        return word in self._superlatives or (len(word) > 4 and word.endswith("est"))
