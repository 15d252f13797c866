"""One request's sequences while they are generated: greedy and sampled ones, and beams.

A group owns some rows of the batch. After each forward pass it is given the log-probabilities of its rows and
answers with its next rows as (parent row, token) pairs; rows that it does not name leave the batch. The first
pass is over the prompt and gives a single row.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch

from serve_app.contracts import SamplingParams

FinishReason = Literal["stop", "length", "cancelled"]
NextRow = tuple[int, int]


@dataclass(slots=True)
class Sequence:
    """Generated tokens (an end token included) and the model's log-probability of each."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    @property
    def score(self) -> float:
        """Log-probability of the whole sequence."""
        return sum(self.logprobs)

    def grown(self, token: int, logprob: float) -> "Sequence":
        return Sequence([*self.tokens, token], [*self.logprobs, logprob])


@dataclass(frozen=True, slots=True)
class Ending:
    """When a sequence is over: an end token, a stop text or its length in tokens.

    ``whole_only``: what reached its length is no result, since an output grammar was cut off in it.
    """

    end_tokens: frozenset[int]
    max_new_tokens: int
    stop: tuple[str, ...]
    contains: Callable[[list[int], tuple[str, ...]], bool]
    whole_only: bool = False

    def reason(self, sequence: Sequence) -> FinishReason | None:
        if sequence.tokens[-1] in self.end_tokens:
            return "stop"
        if self.stop and self.contains(sequence.tokens, self.stop):
            return "stop"
        return "length" if len(sequence.tokens) >= self.max_new_tokens else None

    def is_result(self, sequence: Sequence) -> bool:
        return not (self.whole_only and sequence.finish_reason == "length")


@dataclass(frozen=True, slots=True)
class RowScores:
    """Of a group's rows: log-probabilities (rows x vocabulary) and each row's likeliest token with its."""

    logprobs: torch.Tensor
    likeliest: list[tuple[int, float]]


class SequenceGroup(Protocol):
    """The sequences of one request."""

    @property
    def live(self) -> list[Sequence]:
        """The unfinished sequences, in the order of the group's rows."""
        ...

    def advance(self, scores: RowScores) -> list[NextRow]:
        """Take one token per row; the rows to go on with, none when the group is finished."""
        ...

    def results(self) -> list[Sequence]:
        """Finished and unfinished sequences, best first."""
        ...


def make_group(params: SamplingParams, ending: Ending) -> SequenceGroup:
    """Beam search for several candidates at temperature 0, independent sequences otherwise."""
    if params.temperature == 0 and params.candidates > 1:
        return BeamGroup(params.candidates, ending)
    return SampledGroup(params, ending)


class SampledGroup:
    """Independent sequences, each greedy or drawn with temperature, top-k and top-p."""

    def __init__(self, params: SamplingParams, ending: Ending) -> None:
        self._params = params
        self._ending = ending
        self._live: list[Sequence] = []
        self._finished: list[Sequence] = []
        self._started = False
        self._random = torch.Generator()
        if params.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(params.seed)

    @property
    def live(self) -> list[Sequence]:
        return self._live

    def advance(self, scores: RowScores) -> list[NextRow]:
        if self._started:
            parents = list(enumerate(self._live))
        else:
            parents = [(0, Sequence()) for _ in range(self._params.candidates)]
            self._started = True
        rows: list[NextRow] = []
        self._live = []
        for row, sequence in parents:
            token, logprob = self._pick(scores, row)
            sequence.tokens.append(token)
            sequence.logprobs.append(logprob)
            sequence.finish_reason = self._ending.reason(sequence)
            if sequence.finish_reason is None:
                rows.append((row, token))
                self._live.append(sequence)
            elif self._ending.is_result(sequence):
                self._finished.append(sequence)
        return rows

    def results(self) -> list[Sequence]:
        return sorted([*self._finished, *self._live], key=lambda sequence: -sequence.score)

    def _pick(self, scores: RowScores, row: int) -> tuple[int, float]:
        if self._params.temperature == 0:
            return scores.likeliest[row]
        logprobs = scores.logprobs[row].cpu()
        token = draw(logprobs, self._params, self._random)
        return token, float(logprobs[token])


def draw(logprobs: torch.Tensor, params: SamplingParams, random: torch.Generator) -> int:
    """One token of a vocabulary-sized CPU tensor by temperature, then top-k, then top-p."""
    count = min(params.top_k, logprobs.numel()) if params.top_k else logprobs.numel()
    values, tokens = torch.topk(logprobs / params.temperature, count)
    probabilities = torch.softmax(values, dim=-1)
    if params.top_p < 1:
        before = torch.cumsum(probabilities, dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= params.top_p, 0.0)
    return int(tokens[torch.multinomial(probabilities, 1, generator=random)])


class BeamGroup:
    """The ``width`` likeliest sequences by beam search.

    Scores are log-probabilities of whole sequences, without a length bonus: a longer sequence never scores
    higher than its own beginning, so a beam below the ``width``-th finished sequence can be dropped, and the
    search ends when none is left.
    """

    def __init__(self, width: int, ending: Ending) -> None:
        self._width = width
        self._ending = ending
        self._live: list[Sequence] = []
        self._finished: list[Sequence] = []

    @property
    def live(self) -> list[Sequence]:
        return self._live

    def advance(self, scores: RowScores) -> list[NextRow]:
        beams = self._live or [Sequence()]
        totals = scores.logprobs + torch.tensor(
            [[beam.score] for beam in beams], device=scores.logprobs.device
        )
        vocabulary = totals.shape[1]
        # Twice the width, so that the live beams stay full even if as many candidates end here.
        values, indices = torch.topk(totals.flatten(), min(2 * self._width, totals.numel()))
        rows: list[NextRow] = []
        live: list[Sequence] = []
        for value, index in zip(values.tolist(), indices.tolist(), strict=True):
            row, token = divmod(index, vocabulary)
            if value == float("-inf") or len(live) == self._width:
                break
            sequence = beams[row].grown(token, value - beams[row].score)
            sequence.finish_reason = self._ending.reason(sequence)
            if sequence.finish_reason is not None:
                if self._ending.is_result(sequence):
                    self._finish(sequence)
            elif value > self._worst_kept():
                rows.append((row, token))
                live.append(sequence)
        kept = [i for i, beam in enumerate(live) if beam.score > self._worst_kept()]
        self._live = [live[i] for i in kept]
        return [rows[i] for i in kept]

    def results(self) -> list[Sequence]:
        ranked = sorted([*self._finished, *self._live], key=lambda sequence: -sequence.score)
        return ranked[: self._width]

    def _finish(self, sequence: Sequence) -> None:
        self._finished.append(sequence)
        self._finished.sort(key=lambda other: -other.score)
        del self._finished[self._width :]

    def _worst_kept(self) -> float:
        """The score that a sequence must beat to be among the results."""
        return self._finished[-1].score if len(self._finished) == self._width else float("-inf")
