"""Token counting by the model's own tokenizer, cached, and the choice of the largest prompt that fits."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

CountTokens = Callable[[tuple[str, ...]], Awaitable[tuple[int, ...]]]

T = TypeVar("T")


def token_bound(text: str) -> int:
    """An upper bound without the tokenizer, as byte-level ones make at most one token of a byte."""
    return len(text.encode("utf-8", errors="replace")) + 1


class TokenCounter:
    """Counts texts with the generator's tokenizer, one call for all texts that are not cached."""

    def __init__(self, count_tokens: CountTokens, cached_texts: int = 8192) -> None:
        self._count_tokens = count_tokens
        self._cached_texts = cached_texts
        self._cache: OrderedDict[str, int] = OrderedDict()

    async def counts(self, texts: Sequence[str]) -> dict[str, int]:
        """The number of tokens of every text."""
        known = {text: self._cache[text] for text in texts if text in self._cache}
        missing = tuple(dict.fromkeys(text for text in texts if text not in known))
        if missing:
            known.update(zip(missing, await self._count_tokens(missing), strict=True))
        for text in known:
            self._cache[text] = known[text]
            self._cache.move_to_end(text)
        while len(self._cache) > self._cached_texts:
            self._cache.popitem(last=False)
        return known

    async def exact(self, texts: Sequence[str]) -> int:
        """Tokens of texts that differ each time, past the cache."""
        return sum(await self._count_tokens(tuple(texts)))

    async def at_most(self, text: str, limit: int) -> bool:
        """Whether a text has at most ``limit`` tokens; asks the tokenizer only if need be."""
        return token_bound(text) <= limit or (await self.counts((text,)))[text] <= limit


class Ladder(Generic[T]):
    """Ever smaller versions of the same thing, the fullest first."""

    def __init__(
        self, rungs: Sequence[T], estimate: Callable[[T], int], measure: Callable[[T], Awaitable[int]]
    ) -> None:
        """``estimate`` is cheap and close; ``measure`` is the truth and may be slow."""
        self._rungs = rungs
        self._estimate = estimate
        self._measure = measure

    async def largest_within(self, limit: int) -> tuple[T, int] | None:
        """The fullest rung of at most ``limit`` and its measured size; None if even the last is larger.

        The estimate only says where to start looking: what is returned has been measured.
        """
        low, high = 0, len(self._rungs)
        while low < high:
            middle = (low + high) // 2
            if self._estimate(self._rungs[middle]) <= limit:
                high = middle
            else:
                low = middle + 1
        for rung in self._rungs[min(low, len(self._rungs) - 1) :]:
            size = await self._measure(rung)
            if size <= limit:
                return rung, size
        return None
