import pytest

from deployments.prompt_builder.budget import Ladder, TokenCounter, token_bound


class RecordingTokenizer:
    """Counts words and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    async def __call__(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        self.calls.append(texts)
        return tuple(len(text.split()) for text in texts)


async def test_texts_are_counted_once_and_in_one_call() -> None:
    tokenizer = RecordingTokenizer()
    counter = TokenCounter(tokenizer)
    assert await counter.counts(("a b", "c", "a b")) == {"a b": 2, "c": 1}
    assert await counter.counts(("c", "d e f")) == {"c": 1, "d e f": 3}
    assert tokenizer.calls == [("a b", "c"), ("d e f",)]


async def test_the_cache_forgets_the_longest_unused() -> None:
    tokenizer = RecordingTokenizer()
    counter = TokenCounter(tokenizer, cached_texts=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await counter.counts((text,))
    assert tokenizer.calls == [("a",), ("b",), ("c",), ("b",)]


async def test_the_tokenizer_is_not_asked_what_the_length_already_tells() -> None:
    tokenizer = RecordingTokenizer()
    counter = TokenCounter(tokenizer)
    assert await counter.at_most("short", 10)
    assert tokenizer.calls == []
    assert await counter.at_most("five words are in here", 5)
    assert not await counter.at_most("five words are in here", 4)


@pytest.mark.parametrize("text", ["", "abc", "žluť", "🏗🏗", "\ud800"])
def test_the_bound_is_at_least_one_token_a_byte(text: str) -> None:
    assert token_bound(text) >= len(text.encode("utf-8", errors="replace"))


async def test_the_fullest_rung_that_measures_within_the_limit_wins() -> None:
    async def measure(size: int) -> int:
        return size

    assert await Ladder((9, 7, 5, 3), lambda size: size, measure).largest_within(6) == (5, 5)
    assert await Ladder((9, 7), lambda size: size, measure).largest_within(6) is None


async def test_a_too_hopeful_estimate_is_corrected_by_measuring() -> None:
    async def measure(size: int) -> int:
        return 2 * size

    assert await Ladder((9, 7, 5, 3), lambda size: size, measure).largest_within(9) == (3, 6)
