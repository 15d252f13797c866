"""Correction of words outside the vocabulary."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

# Weights from which on a word is a term or name, everyday business English, or frequent English.
NAME_WEIGHT: Final = 100_000
EVERYDAY_WEIGHT: Final = 10_000
FREQUENT_WEIGHT: Final = 3_500
_WORDS_CACHED: Final = 50_000
# No word of a vocabulary is longer; what is comes from nobody's hand and is left as it is.
_LONGEST: Final = 40
_SHORTEST: Final = 4
_NEIGHBOURS: Final = 12
_PREFIXES: Final = ("un", "re", "non", "pre", "mis", "over", "under", "out", "sub")
_SUFFIXES: Final = (
    "ion",
    "ation",
    "ment",
    "ness",
    "ful",
    "less",
    "able",
    "ist",
    "ism",
    "ity",
    "ive",
    "ship",
    "ish",
)
_VOWELS: Final = "aeiou"
# A one-syllable stem with a short vowel doubles its last letter before an ending: "dropped", not "droped".
_DOUBLES: Final = re.compile(r"[^aeiou]+[aeiou][^aeiouwxy]$")


class Speller:
    """Nearest known word by optimal string alignment; heavier words win ties.

    ``weights`` maps each word that may replace another to its frequency, ``accepted`` are further known
    words. Words of four letters and more are corrected at distance 1, of seven and more at distance 2; the
    rarer a candidate, the nearer it must be, since an unknown word left alone harms less than a wrong one.
    """

    def __init__(self, weights: Mapping[str, int], accepted: Iterable[str]) -> None:
        self._weights = dict(weights)
        self._accepted = frozenset(accepted) | frozenset(weights)
        self._by_length: dict[int, list[str]] = {}
        for word in self._weights:
            if len(word) >= _SHORTEST and word.isalpha():
                self._by_length.setdefault(len(word), []).append(word)
        self._cache: dict[str, str] = {}

    def knows(self, word: str) -> bool:
        """Whether the word, or what it is an inflection or a plain derivation of, is in the vocabulary."""
        return word in self._accepted or any(stem in self._accepted for stem in _stems(word))

    def _is_derived(self, word: str) -> bool:
        """Whether a known word with a common prefix or suffix makes it: "repaint", "fitment"."""
        return any(stem in self._accepted for stem in _bases(word))

    def correct(self, word: str) -> str:
        """The word itself if it is known or nothing is near enough."""
        if len(word) > _LONGEST:
            return word
        cached = self._cache.get(word)
        if cached is None:
            cached = self._respelled(word)
            if len(self._cache) >= _WORDS_CACHED:
                self._cache.clear()
            self._cache[word] = cached
        return cached

    def _respelled(self, word: str) -> str:
        if len(word) < _SHORTEST or not word.isalpha():
            return word
        if word.endswith("ys") and word[:-2] + "ies" in self._accepted:
            return word[:-2] + "ies"
        if word in self._accepted:
            return word
        simple = self._simple_slip(word)
        if simple is not None:
            return simple
        return word if self.knows(word) else self._nearest(word)

    def _simple_slip(self, word: str) -> str | None:
        """One of a double letter left out ("submited"), or the g of an ending ("chargin")."""
        for i, letter in enumerate(word):
            doubled = word[:i] + letter + word[i:]
            if doubled in self._weights:
                return doubled
        if word.endswith("in") and not self.knows(word) and self.knows(word + "g"):
            return word + "g"
        return None

    def _nearest(self, word: str) -> str:
        derived = self._is_derived(word)
        for limit in (1, 2) if len(word) >= 6 and not derived else (1,):
            near = self._near(word, limit)
            choices = [c for c, d in near if _plausible(word, c, d) and self._likely(word, c, d, derived)]
            if choices:
                return min(choices, key=lambda c: (_cost(word, c), -self._weights[c]))
        return word

    def _likely(self, word: str, choice: str, distance: float, derived: bool) -> bool:
        """Rare words only for a letter left out or two swapped; for a derivation only names and terms."""
        weight = self._weights[choice]
        if derived:
            return weight >= NAME_WEIGHT
        if distance >= 2:
            return weight >= EVERYDAY_WEIGHT
        slip = len(word) >= 6 and (len(choice) > len(word) or sorted(word) == sorted(choice))
        return slip or weight >= FREQUENT_WEIGHT

    def _near(self, word: str, limit: int) -> Iterator[tuple[str, float]]:
        for length in range(len(word) - limit, len(word) + limit + 1):
            choices = self._by_length.get(length, ())
            for choice, distance, _ in process.extract(
                word, choices, scorer=OSA.distance, score_cutoff=limit, limit=_NEIGHBOURS
            ):
                yield choice, distance


def _bases(word: str) -> Iterator[str]:
    """What the word may be derived from; short rests would make words of slips."""
    for prefix in _PREFIXES:
        if word.startswith(prefix) and len(word) - len(prefix) >= 5:
            yield word[len(prefix) :]
    for suffix in _SUFFIXES:
        base = word[: -len(suffix)]
        if word.endswith(suffix) and len(base) >= 4 and base[-1] != "e":
            yield base
            if suffix[0] in _VOWELS:
                yield base + "e"


def _stems(word: str) -> Iterator[str]:
    """What the word may be an inflection of."""
    for suffix in ("s", "es"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            yield word[: -len(suffix)]
    if word.endswith("ies") and len(word) > 5:
        yield word[:-3] + "y"
    if word.endswith("ly") and len(word) > 5:
        yield word[:-2]
    if word.endswith("ying"):
        yield word[:-4] + "ie"
    for suffix in ("ing", "ed", "er", "est"):
        stem = word[: -len(suffix)]
        if not word.endswith(suffix) or len(stem) < 3 or (suffix in {"er", "est"} and len(stem) > 6):
            continue
        if len(stem) > 3 and stem[-1] == stem[-2]:
            yield stem[:-1]
        if not _DOUBLES.match(stem):
            yield stem
        yield stem + "e"
        if stem.endswith("i"):
            yield stem[:-1] + "y"


def _cost(word: str, choice: str) -> float:
    """Edit distance; left-out and swapped letters are likelier slips than wrong ones or a wrong start."""
    cost = float(OSA.distance(word, choice))
    if word[0] != choice[0]:
        cost += 0.4
    if len(choice) > len(word) or sorted(word) == sorted(choice):
        cost -= 0.2
    return cost


def _plausible(word: str, choice: str, distance: float) -> bool:
    """Two edits change a short word too much, one wrong letter a four-letter word."""
    if sorted(word) == sorted(choice):
        return True
    if word.startswith(choice):
        return False
    if distance < 2:
        return len(word) > _SHORTEST or len(choice) > len(word)
    return len(word) >= 7 and (word[:2] == choice[:2] or (len(word) >= 8 and word[0] == choice[0]))
