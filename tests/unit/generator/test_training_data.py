"""Batches are a function of seed and position alone, whoever makes them."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from deployments.generator.training.config import BatchConfig, TokenizerConfig
from deployments.generator.training.data import (
    BatchStream,
    DataError,
    PairEncoder,
    PairSource,
    Pool,
    RepeatedPairs,
)
from deployments.generator.training.tokenizer import train_tokenizer

SMALL = {"sequences": 4, "pool_batches": 3, "workers": 0}


def counting(seed: int, start: int) -> Iterator[tuple[str, str]]:
    for number in itertools.count(start):
        yield "n" * (1 + (number * 7 + seed) % 9), f"<x>{seed}-{number}"


def failing(seed: int, start: int) -> Iterator[tuple[str, str]]:
    yield from itertools.islice(counting(seed, start), 12)
    raise ValueError("the source is broken")


def ending(seed: int, start: int) -> Iterator[tuple[str, str]]:
    return itertools.islice(counting(seed, start), 20)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    texts = [text for pair in itertools.islice(counting(0, 0), 200) for text in pair]
    return train_tokenizer(texts, ["<x>"], TokenizerConfig(vocab_size=300))


def pools(
    tokenizer: PreTrainedTokenizerFast, source: PairSource, count: int, first: int = 0, **changes: object
) -> list[Pool]:
    config = BatchConfig.model_validate(SMALL | changes)
    encoder = PairEncoder(tokenizer.backend_tokenizer, tokenizer.eos_token_id, tokenizer.pad_token_id, config)
    stream = BatchStream(source, encoder, config, seed=5)
    try:
        return list(itertools.islice(stream.pools(first), count))
    finally:
        stream.close()


def same(left: list[Pool], right: list[Pool]) -> bool:
    arrays = [[batch.ids.tolist() for pool in side for batch in pool.batches] for side in (left, right)]
    return arrays[0] == arrays[1] and [p.digest for p in left] == [p.digest for p in right]


def test_a_stream_can_start_anywhere(tokenizer: PreTrainedTokenizerFast) -> None:
    assert same(pools(tokenizer, counting, 3, first=2), pools(tokenizer, counting, 5)[2:])


def test_worker_processes_make_the_same_pools(tokenizer: PreTrainedTokenizerFast) -> None:
    assert same(pools(tokenizer, counting, 3, workers=1), pools(tokenizer, counting, 3))


def test_two_workers_are_resumable_and_see_different_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = pools(tokenizer, counting, 5, workers=2)
    assert same(pools(tokenizer, counting, 2, first=3, workers=2), whole[3:])
    assert len({pool.digest for pool in whole}) == 5


def test_batches_hold_their_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    (pool,) = pools(tokenizer, counting, 1)
    texts = [tokenizer.decode(row, skip_special_tokens=True) for batch in pool.batches for row in batch.ids]
    expected = [prompt + completion for prompt, completion in itertools.islice(counting(5, 0), 12)]
    assert sorted(texts) == sorted(expected)


@pytest.mark.parametrize("prompt_weight", [0.0, 0.25])
def test_loss_weights_follow_the_parts(tokenizer: PreTrainedTokenizerFast, prompt_weight: float) -> None:
    (pool,) = pools(tokenizer, counting, 1, prompt_loss_weight=prompt_weight)
    for batch in pool.batches:
        for ids, weights in zip(batch.ids, batch.weights, strict=True):
            answer = int(np.argmax(ids == tokenizer.sep_token_id)) + 1
            end = int(np.argmax(ids == tokenizer.eos_token_id)) + 1
            assert set(weights[:answer]) == {np.float32(prompt_weight)}
            assert set(weights[answer:end]) == {1.0}
            assert not weights[end:].any()
            assert (ids[end:] == tokenizer.pad_token_id).all()


def test_batches_are_sorted_by_length_and_tokens_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    for pool in pools(tokenizer, counting, 3, pool_batches=8):
        lengths = [(batch.ids != tokenizer.pad_token_id).sum(1).tolist() for batch in pool.batches]
        by_length = sorted(map(sorted, lengths))
        assert list(itertools.chain(*by_length)) == sorted(itertools.chain(*lengths))
        assert [batch.tokens for batch in pool.batches] == [
            int((batch.ids != tokenizer.pad_token_id).sum()) for batch in pool.batches
        ]


def test_long_pairs_are_dropped_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = pools(tokenizer, counting, 1)[0]
    longest = max(batch.ids.shape[1] for batch in whole.batches)
    cut = pools(tokenizer, counting, 1, max_sequence_tokens=longest - 1)[0]
    assert cut.dropped > 0
    assert sum(len(batch.ids) for batch in cut.batches) == 12 - cut.dropped


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_source_is_reported(tokenizer: PreTrainedTokenizerFast, workers: int) -> None:
    with pytest.raises((DataError, ValueError), match="the source is broken"):
        pools(tokenizer, failing, 3, workers=workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_ending_source_is_reported(tokenizer: PreTrainedTokenizerFast, workers: int) -> None:
    with pytest.raises(DataError, match="must be endless"):
        pools(tokenizer, ending, 3, workers=workers)


def test_a_pool_without_a_short_pair_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(DataError, match="none of 12 pairs has at most max_sequence_tokens \\(8\\) tokens"):
        pools(
            tokenizer,
            lambda seed, start: (("long " * 20, "x") for _ in itertools.count()),
            1,
            max_sequence_tokens=8,
        )


def test_given_pairs_repeat_in_new_orders() -> None:
    rows = tuple((f"p{i}", f"c{i}") for i in range(7))
    pairs = RepeatedPairs(rows)
    taken = list(itertools.islice(pairs(1, 0), 21))
    passes = [taken[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(one) == sorted(rows) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    assert list(itertools.islice(pairs(1, 10), 11)) == taken[10:]
    assert list(itertools.islice(pairs(2, 0), 7)) != passes[0]
