"""From an endless stream of (prompt, completion) pairs to batches with hardly any padding.

A pool of pairs is sorted by length, cut into batches and the batches are shuffled. The order is a function of
the seed and the pool's number alone: batch ``position`` of a run is always the same, which is what exact
resuming rests on. With n workers, worker w makes the pools w, w + n, … from its own stream ``pairs(seed + w *
WORKER_SEED_STEP, start)``.
"""

import hashlib
import itertools
import multiprocessing
import os
import queue
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from deployments.generator.training.config import BatchConfig

Pair = tuple[str, ...]
"""(prompt, completion), or whatever texts the run's encoder takes."""
PairSource = Callable[[int, int], Iterator[Pair]]
"""``pairs(seed, start)``: an endless, reproducible stream from pair ``start`` on; picklable for workers."""
Row = tuple[list[int], list[int]]
"""Token ids of a prompt and of its completion, the end token included."""

WORKER_SEED_STEP = 1_000_003  # keeps the streams of two workers, and of neighbouring seeds, apart
QUEUED_POOLS = 2  # per worker: enough to hide a slow pool, little enough to waste no memory


class DataError(RuntimeError):
    """The pair source failed or ended; the message holds its traceback."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded token ids (sequences x tokens) and the loss weight of each token."""

    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    tokens: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Batches of one pool in training order, with what became of its pairs."""

    batches: tuple[Batch, ...]
    digest: str
    dropped: int


@dataclass(frozen=True, slots=True)
class RepeatedPairs:
    """Given pairs as an endless stream, every pass in a new order."""

    rows: tuple[Pair, ...]

    def __call__(self, seed: int, start: int) -> Iterator[Pair]:
        first_pass, offset = divmod(start, len(self.rows))
        for epoch in itertools.count(first_pass):
            order = np.random.default_rng([seed, epoch]).permutation(len(self.rows))
            for index in order[offset:]:
                yield self.rows[index]
            offset = 0


class PairEncoder:
    """Tokens and loss weights of pairs: ``<|start|> prompt <|answer|> completion <|end|>``."""

    def __init__(self, tokenizer: Tokenizer, eos_id: int, pad_id: int, config: BatchConfig) -> None:
        self._tokenizer = tokenizer
        self._eos_id = eos_id
        self._pad_id = pad_id
        self._config = config

    def pool(self, pairs: list[Pair], seed: int, number: int) -> Pool:
        """Encode, sort by length, cut into batches and shuffle them.

        Raises:
            DataError: no pair of the pool is short enough.
        """
        rows = self.rows(pairs)
        kept = [row for row in rows if len(row[0]) + len(row[1]) <= self._config.max_sequence_tokens]
        if not kept:
            shortest = min(len(prompt) + len(completion) for prompt, completion in rows)
            raise DataError(
                f"none of {len(rows)} pairs has at most max_sequence_tokens "
                f"({self._config.max_sequence_tokens}) tokens; the shortest has {shortest}"
            )
        kept.sort(key=lambda row: len(row[0]) + len(row[1]))
        size = self._config.sequences
        batches = [self._batch(kept[first : first + size]) for first in range(0, len(kept), size)]
        order = np.random.default_rng([seed, number]).permutation(len(batches))
        digest = hashlib.sha256("\0".join(text for pair in pairs for text in pair).encode()).hexdigest()
        return Pool(tuple(batches[index] for index in order), digest, len(rows) - len(kept))

    def rows(self, pairs: list[Pair]) -> list[Row]:
        """Token ids; the tokenizer's own template frames the prompt."""
        prompts = self._tokenizer.encode_batch_fast([prompt for prompt, _ in pairs])
        completions = self._tokenizer.encode_batch_fast([text for _, text in pairs], add_special_tokens=False)
        return [
            (prompt.ids, [*completion.ids, self._eos_id])
            for prompt, completion in zip(prompts, completions, strict=True)
        ]

    def _batch(self, rows: list[Row]) -> Batch:
        width = max(len(prompt) + len(completion) for prompt, completion in rows)
        ids = np.full((len(rows), width), self._pad_id, dtype=np.int32)
        weights = np.zeros((len(rows), width), dtype=np.float32)
        for index, (prompt, completion) in enumerate(rows):
            end = len(prompt) + len(completion)
            ids[index, :end] = prompt + completion
            weights[index, : len(prompt)] = self._config.prompt_loss_weight
            weights[index, len(prompt) : end] = 1.0
        return Batch(ids, weights, int(sum(len(p) + len(c) for p, c in rows)))


def _pools(
    pairs: PairSource, encoder: PairEncoder, config: BatchConfig, seed: int, worker: int, first: int
) -> Iterator[Pool]:
    """Every pool of ``worker``, from its ``first``-th on."""
    stream = pairs(seed + worker * WORKER_SEED_STEP, first * config.pool_sequences)
    for own in itertools.count(first):
        chunk = list(itertools.islice(stream, config.pool_sequences))
        if len(chunk) < config.pool_sequences:
            raise DataError("the pair source ended; it must be endless (RepeatedPairs repeats given ones)")
        yield encoder.pool(chunk, seed, own * max(config.workers, 1) + worker)


def _work(
    pairs: PairSource,
    encoder: PairEncoder,
    config: BatchConfig,
    seed: int,
    worker: int,
    first: int,
    out: "multiprocessing.Queue[Pool | str]",
) -> None:
    """A worker's life: pools into the queue until the trainer goes away; a failure as its traceback."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parent = multiprocessing.parent_process()
    try:
        for pool in _pools(pairs, encoder, config, seed, worker, first):
            while parent is not None and parent.is_alive():
                try:
                    out.put(pool, timeout=1.0)
                    break
                except queue.Full:
                    continue
            else:
                return
    except Exception:  # whatever the caller's generator raises has to reach the trainer
        out.put(traceback.format_exc())


class BatchStream:
    """Batches from a position (pool, batch in pool) on; `close` ends the workers."""

    def __init__(self, pairs: PairSource, encoder: PairEncoder, config: BatchConfig, seed: int) -> None:
        """``encoder`` is picklable: workers get a copy."""
        self._pairs = pairs
        self._encoder = encoder
        self._config = config
        self._seed = seed
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def pools(self, first: int) -> Iterator[Pool]:
        """Pools in order from number ``first`` on.

        Raises:
            DataError: the pair source failed or ended.
        """
        workers = max(self._config.workers, 1)
        starts = [(first - worker + workers - 1) // workers for worker in range(workers)]
        if self._config.workers == 0:
            yield from _pools(self._pairs, self._encoder, self._config, self._seed, 0, first)
            return
        queues = [self._start(worker, start) for worker, start in enumerate(starts)]
        for number in itertools.count(first):
            yield self._take(number % workers, queues[number % workers])

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.join()
        self._processes.clear()

    def _start(self, worker: int, first: int) -> "multiprocessing.Queue[Pool | str]":
        context = multiprocessing.get_context("spawn")
        out: multiprocessing.Queue[Pool | str] = context.Queue(QUEUED_POOLS)
        arguments = (self._pairs, self._encoder, self._config, self._seed, worker, first, out)
        process = context.Process(target=_work, args=arguments, daemon=True, name=f"pairs-{worker}")
        process.start()
        self._processes.append(process)
        return out

    def _take(self, worker: int, source: "multiprocessing.Queue[Pool | str]") -> Pool:
        while True:
            try:
                pool = source.get(timeout=5.0)
                break
            except queue.Empty:
                if not self._processes[worker].is_alive():
                    raise DataError(f"data worker {worker} died without a message") from None
        if isinstance(pool, str):
            raise DataError(f"the pair source failed:\n{pool}")
        return pool
