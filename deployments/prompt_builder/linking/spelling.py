"""Correction of words outside the vocabulary."""

from collections.abc import Iterable, Mapping

from rapidfuzz import process
from rapidfuzz.distance import OSA

_SUFFIXES = ("s", "es", "ed", "d", "ing", "er", "ers", "est", "ly", "ies", "ied", "ier", "iest")
_CACHE_WORDS = 200_000


class Speller:
    """Nearest known word by optimal string alignment; frequent words of the domain win ties.

    ``weights`` maps each known word to its frequency; words of four letters and more are corrected at distance 1, of
    seven and more at distance 2.
    """

    def __init__(self, weights: Mapping[str, int], accepted: Iterable[str]) -> None:
        self._weights = dict(weights)
        self._accepted = frozenset(accepted) | frozenset(weights)
        self._by_length: dict[int, list[str]] = {}
        for word in self._weights:
            if len(word) >= 4 and word.isalpha():
                self._by_length.setdefault(len(word), []).append(word)
        self._cache: dict[str, str] = {}

    def knows(self, word: str) -> bool:
        """Whether the word, or the word without an English ending, is in the vocabulary."""
        if word in self._accepted:
            return True
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 3:
                stem = word[: -len(suffix)]
                doubled = stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem
                if stem in self._accepted or stem + "e" in self._accepted or stem + "y" in self._accepted:
                    return True
                if doubled != stem and doubled in self._accepted:
                    return True
        return False

    def correct(self, word: str) -> str:
        """The word itself if known or if nothing is near enough."""
        cached = self._cache.get(word)
        if cached is None:
            cached = word if len(word) < 4 or not word.isalpha() or self.knows(word) else self._nearest(word)
            if len(self._cache) >= _CACHE_WORDS:
                self._cache.clear()
            self._cache[word] = cached
        return cached

    def _nearest(self, word: str) -> str:
        best, best_rank = word, (3.0, 0.0)
        for limit in (1, 2) if len(word) >= 6 else (1,):
            for length in range(len(word) - limit, len(word) + limit + 1):
                choices = self._by_length.get(length)
                if not choices:
                    continue
                for choice, distance, _ in process.extract(
                    word, choices, scorer=OSA.distance, score_cutoff=limit, limit=8
                ):
                    if distance == 2 and not _plausible(word, choice):
                        continue
                    rank = (distance + 0.4 * (word[0] != choice[0]), -float(self._weights[choice]))
                    if rank < best_rank:
                        best, best_rank = choice, rank
            if best != word:
                break
        return best


def _plausible(word: str, choice: str) -> bool:
    """Two edits in a short word change it too much, unless it starts the same or its letters are the same."""
    if sorted(word) == sorted(choice):
        return True
    return word[:2] == choice[:2] or (len(word) >= 8 and word[0] == choice[0])
