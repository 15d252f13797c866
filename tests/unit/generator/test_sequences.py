"""Choosing tokens: draws within top-k and top-p, beams against exhaustive search."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.generator.sequences import BeamGroup, Ending, RowScores, SampledGroup, draw
from serve_app.contracts import SamplingParams

END = 0


def ending(max_new_tokens: int) -> Ending:
    return Ending(frozenset({END}), max_new_tokens, (), lambda tokens, stop: False)


class Chain:
    """A language of three tokens whose next token depends on the last one; token 0 ends."""

    def __init__(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.table = torch.log_softmax(2 * torch.randn(3, 3, generator=random), dim=-1)

    def scores(self, sequences: list[list[int]]) -> RowScores:
        logprobs = torch.stack([self.table[tokens[-1] if tokens else END] for tokens in sequences])
        values, tokens = logprobs.max(dim=-1)
        return RowScores(logprobs, list(zip(tokens.tolist(), values.tolist(), strict=True)))

    def every_sequence(self, length: int) -> dict[tuple[int, ...], float]:
        """All sequences that end or reach the length, with their log-probability."""
        found: dict[tuple[int, ...], float] = {}
        for size in range(1, length + 1):
            for tokens in itertools.product(range(3), repeat=size):
                ended = tokens[-1] == END
                if END not in tokens[:-1] and (ended or size == length):
                    steps = itertools.pairwise((END, *tokens))
                    found[tokens] = float(sum(self.table[a, b] for a, b in steps))
        return found


def run(group: BeamGroup | SampledGroup, chain: Chain) -> list[list[int]]:
    rows: list[list[int]] = [[]]
    while rows:
        chosen = group.advance(chain.scores(rows))
        rows = [[*rows[parent], token] for parent, token in chosen]
        assert rows == [sequence.tokens for sequence in group.live]
    return [sequence.tokens for sequence in group.results()]


@settings(deadline=None)  # the first call into torch takes long
@given(seed=st.integers(0, 10_000), length=st.integers(1, 5))
def test_wide_beams_find_the_best_sequences_of_all(seed: int, length: int) -> None:
    chain = Chain(seed)
    every = chain.every_sequence(length)
    group = BeamGroup(80, ending(length))  # more than the 63 sequences there are
    assert {tuple(tokens) for tokens in run(group, chain)} == set(every)
    scores = [sequence.score for sequence in group.results()]
    assert scores == pytest.approx(sorted(every.values(), reverse=True), abs=1e-4)


@settings(deadline=None)  # the first call into torch takes long
@given(seed=st.integers(0, 10_000), width=st.integers(2, 5))
def test_beams_are_distinct_ranked_and_scored_right(seed: int, width: int) -> None:
    chain = Chain(seed)
    group = BeamGroup(width, ending(6))
    found = run(group, chain)
    assert len({tuple(tokens) for tokens in found}) == len(found) == width
    scores = [sequence.score for sequence in group.results()]
    assert scores == sorted(scores, reverse=True)
    every = chain.every_sequence(6)
    assert [every[tuple(tokens)] for tokens in found] == pytest.approx(scores, abs=1e-4)


def test_greedy_takes_the_likeliest() -> None:
    chain = Chain(3)
    group = SampledGroup(SamplingParams(temperature=0), ending(4))
    tokens, last = [], END
    while len(tokens) < 4:
        last = int(chain.table[last].argmax())
        tokens.append(last)
        if last == END:
            break
    assert run(group, chain) == [tokens]


@pytest.mark.parametrize("params", [{"top_k": 1, "top_p": 1.0}, {"top_k": 0, "top_p": 1e-6}])
def test_narrow_draws_are_greedy(params: dict[str, float]) -> None:
    logprobs = torch.log_softmax(torch.tensor([0.1, 2.0, 1.9, -1.0]), dim=-1)
    sampling = SamplingParams.model_validate({"temperature": 2.0} | params)
    random = torch.Generator().manual_seed(0)
    assert {draw(logprobs, sampling, random) for _ in range(50)} == {1}


def test_draws_follow_the_tempered_distribution() -> None:
    logprobs = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    random = torch.Generator().manual_seed(1)
    sampling = SamplingParams(temperature=0.5, top_k=3, top_p=1.0)
    counts = torch.bincount(
        torch.tensor([draw(logprobs, sampling, random) for _ in range(4000)]), minlength=4
    )
    weights = [0.5**2, 0.3**2, 0.15**2]
    for token, weight in enumerate(weights):
        expected = weight / sum(weights)
        spread = 5 * math.sqrt(expected * (1 - expected) / 4000)
        assert counts[token] / 4000 == pytest.approx(expected, abs=spread)
    assert counts[3] == 0


def test_top_p_keeps_the_token_that_crosses_it() -> None:
    logprobs = torch.log(torch.tensor([0.5, 0.3, 0.2]))
    sampling = SamplingParams(temperature=1.0, top_k=0, top_p=0.6)
    random = torch.Generator().manual_seed(1)
    assert {draw(logprobs, sampling, random) for _ in range(200)} == {0, 1}
