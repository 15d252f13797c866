"""The training loop: steps, checkpoints, evaluation, and the finished folder.

    run = train(config, pairs, out_dir, added_tokens=tokens, evaluate=score, progress=print_line)

An interrupted run continues from its last checkpoint when `train` is called again with the same config and
folders: weights, optimizer, random state and place in the data are the same as without the interruption.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from deployments.generator.training.checkpoint import (
    TrainingState,
    clear_checkpoint,
    load_checkpoint,
    restore_random_state,
    save_checkpoint,
)
from deployments.generator.training.config import OptimizationConfig, RunConfig, TrainingConfig
from deployments.generator.training.data import Batch, BatchStream, PairSource
from deployments.generator.training.learner import HouseLearner, Learner
from deployments.generator.training.run_record import (
    CurvePoint,
    EarlierRun,
    Evaluation,
    TrainingRun,
    library_versions,
    read_record,
    write_record,
)

Evaluate = Callable[[Path, int], Mapping[str, float]]
"""Scores of the model in a folder after a number of steps."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `line` is for a terminal."""

    step: int
    fraction: float
    loss: float
    learning_rate: float
    sequences_per_s: float
    elapsed_s: float
    eta_s: float
    scores: Mapping[str, float] | None = None

    def line(self) -> str:
        text = (
            f"{self.fraction:6.1%}  step {self.step:,}  loss {self.loss:.4f}  lr {self.learning_rate:.2e}  "
            f"{self.sequences_per_s:.0f} seq/s  {self.elapsed_s / 60:.1f} min, {self.eta_s / 60:.1f} min left"
        )
        if self.scores:
            text += "  " + "  ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        return text


def train(
    config: TrainingConfig,
    pairs: PairSource,
    out_dir: Path,
    *,
    added_tokens: Sequence[str] = (),
    work_dir: Path | None = None,
    start_from: Path | None = None,
    evaluate: Evaluate | None = None,
    progress: Callable[[Progress], None] | None = None,
    description: str = "",
    resume: bool = True,
) -> TrainingRun:
    """Train from scratch, or go on from the checkpoint in ``work_dir``, and write the model to ``out_dir``.

    ``start_from`` is a folder of an earlier run, whose weights and tokenizer are then the beginning; added
    tokens that it lacks begin with random embeddings.
    ``work_dir`` (default: ``<out_dir>.training``) keeps the tokenizer, the checkpoint and the snapshots for
    ``evaluate``.

    Raises:
        DataError: the pair source failed or ended.
        CheckpointMismatch: the checkpoint was made with another config.
        ValueError: ``start_from`` has another shape.
    """
    work = work_dir or out_dir.with_name(out_dir.name + ".training")
    work.mkdir(parents=True, exist_ok=True)
    if not resume:
        clear_checkpoint(work)
    seed_everything(config)
    state, saved = load_checkpoint(work, config)
    learner = HouseLearner(config, pairs, work, added_tokens, start_from, fresh=saved is None)
    trainer = Trainer(config, learner, pairs, work, state, saved)
    trainer.run(evaluate, progress or (lambda _: None))
    earlier = read_record(start_from) if start_from is not None else None
    return trainer.finish(
        out_dir, evaluate, description, earlier=earlier.as_earlier() if earlier is not None else None
    )


def seed_everything(config: RunConfig) -> None:
    """Before any weight is made."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    random.seed(config.seed)


def learning_rate_part(config: OptimizationConfig, step: int, fraction: float) -> float:
    """Part of the peak learning rates: linear warm-up by steps, linear decay by the run's done fraction."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    floor = config.final_learning_rate_fraction
    return warmup * (floor + (1 - floor) * (1 - min(fraction, 1.0)))


class Trainer:
    """One run: model, optimizer, data stream and their common state."""

    def __init__(
        self,
        config: RunConfig,
        learner: Learner,
        pairs: PairSource,
        work: Path,
        state: TrainingState,
        saved: Mapping[str, Any] | None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """``state`` and ``saved`` are what `load_checkpoint` gave for ``work`` and ``given``."""
        self._config = config
        self._learner = learner
        self._work = work
        self._given = given
        self._state = state
        self._optimizers = learner.optimizers()
        self._peaks = [[group["lr"] for group in o.param_groups] for o in self._optimizers]
        if saved is not None:
            learner.load(saved["model"])
            for optimizer, moments in zip(self._optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(moments)
            restore_random_state(saved)
        self._stream = BatchStream(pairs, learner.encoder, config.batch, config.seed)
        self._loss_sum = torch.zeros((), device=learner.device)
        self._since = _Window(state.step, state.sequences, state.elapsed_s)

    @property
    def state(self) -> TrainingState:
        return self._state

    def run(self, evaluate: Evaluate | None, progress: Callable[[Progress], None]) -> None:
        """Take steps until the budget is used; a checkpoint is left on the way and on an interruption."""
        batches = self._batches()
        checkpointed = evaluated = reported = self._state.elapsed_s
        every = self._config.evaluate_every_s
        try:
            while self._fraction() < 1.0:
                started = time.perf_counter()
                with whole_step():
                    self._step(list(islice(batches, self._config.batches_per_step)))
                self._state.elapsed_s += time.perf_counter() - started
                now = self._state.elapsed_s
                if now - reported >= self._config.progress_every_s:
                    progress(self._report())
                    reported = now
                if evaluate and every and now - evaluated >= every and self._fraction() < 1.0:
                    progress(self._report(self._evaluate(evaluate)))
                    evaluated = now
                if now - checkpointed >= self._config.checkpoint_every_s:
                    self.checkpoint()
                    checkpointed = now
            progress(self._report())
        except KeyboardInterrupt:
            self.checkpoint()
            raise
        finally:
            self._stream.close()

    def checkpoint(self) -> None:
        save_checkpoint(
            self._work, self._config, self._state, self._learner.weights(), self._optimizers, self._given
        )

    def finish(
        self,
        out_dir: Path,
        evaluate: Evaluate | None,
        description: str,
        earlier: EarlierRun | None = None,
    ) -> TrainingRun:
        """Last evaluation, the model's folder and its record; then the checkpoint is no longer needed."""
        if evaluate:
            self._evaluate(evaluate)
        state, device = self._state, self._learner.device
        run = TrainingRun(
            earlier=earlier,
            started_at=state.started_at,
            finished_at=datetime.now(UTC),
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            steps=state.step,
            sequences=state.sequences,
            tokens=state.tokens,
            training_s=state.elapsed_s,
            data_digest=state.data_digest,
            dropped_pairs=state.dropped_pairs,
            curve=tuple(state.curve),
            evaluations=tuple(state.evaluations),
            versions=library_versions(),
            **self._learner.facts(),
        )
        self._learner.export(out_dir)
        write_record(run, out_dir, description)
        clear_checkpoint(self._work)
        return run

    def _batches(self) -> Iterator[Batch]:
        """Batches from the state's position on; the position moves as they are taken."""
        state = self._state
        for pool in self._stream.pools(state.pool):
            if state.batch_in_pool == 0:
                state.add_pool(pool.digest, pool.dropped)
            for batch in pool.batches[state.batch_in_pool :]:
                state.batch_in_pool += 1
                yield batch
            state.pool += 1
            state.batch_in_pool = 0

    def _fraction(self) -> float:
        """Part of the run that is done, by the budget that ends first."""
        budget = self._config.optimization
        by_steps = self._state.step / budget.max_steps if budget.max_steps else 0.0
        by_time = self._state.elapsed_s / budget.time_budget_s if budget.time_budget_s else 0.0
        return max(by_steps, by_time)

    def _step(self, batches: Sequence[Batch]) -> None:
        """One optimizer step by the mean loss over the weighted tokens of all ``batches``."""
        part = learning_rate_part(self._config.optimization, self._state.step, self._fraction())
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * part
        model = self._learner.model
        model.zero_grad(set_to_none=True)
        weight = sum(float(batch.weights[:, 1:].sum()) for batch in batches)
        for batch in batches:
            loss = self._weighted_loss(batch) / weight
            loss.backward()  # type: ignore[no-untyped-call]
            self._loss_sum += loss.detach()
            self._state.sequences += len(batch.ids)
            self._state.tokens += batch.tokens
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, self._config.optimization.gradient_clip)
        for optimizer in self._optimizers:
            optimizer.step()
        self._state.step += 1
        self._state.learning_rate = self._config.optimization.learning_rate * part

    def _weighted_loss(self, batch: Batch) -> torch.Tensor:
        """Sum over the tokens with a weight; only their logits are computed."""
        model, device = self._learner.model, self._learner.device
        ids = torch.from_numpy(batch.ids).to(device, torch.long, non_blocking=True)
        weights = torch.from_numpy(batch.weights).to(device, non_blocking=True)[:, 1:]
        wanted = weights > 0
        bfloat16 = self._config.precision == "bfloat16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
            # Right padding under a causal mask: real tokens never see it, so no attention mask is needed.
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            logits = model.lm_head(hidden[wanted])
        losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][wanted], reduction="none")
        return (losses * weights[wanted]).sum()

    def _report(self, scores: Mapping[str, float] | None = None) -> Progress:
        """Progress since the report before, which also becomes a point of the curve."""
        state = self._state
        steps = state.step - self._since.step
        seconds = state.elapsed_s - self._since.elapsed_s
        if steps:
            state.curve.append(
                CurvePoint(
                    step=state.step,
                    elapsed_s=round(state.elapsed_s, 2),
                    loss=round(float(self._loss_sum) / steps, 5),
                    learning_rate=state.learning_rate,
                    sequences_per_s=round((state.sequences - self._since.sequences) / max(seconds, 1e-9), 1),
                )
            )
            self._loss_sum.zero_()
            self._since = _Window(state.step, state.sequences, state.elapsed_s)
        last, fraction = state.curve[-1], self._fraction()
        return Progress(
            step=state.step,
            fraction=min(fraction, 1.0),
            loss=last.loss,
            learning_rate=last.learning_rate,
            sequences_per_s=last.sequences_per_s,
            elapsed_s=state.elapsed_s,
            eta_s=max(0.0, state.elapsed_s / fraction - state.elapsed_s),
            scores=scores,
        )

    def _evaluate(self, evaluate: Evaluate) -> Mapping[str, float]:
        """Scores of a snapshot. What the caller's code does to threads and random state is undone."""
        snapshot = self._work / "snapshot"
        devices = [self._learner.device] if self._learner.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            self._learner.export(snapshot)
            try:
                scores = dict(evaluate(snapshot, self._state.step))
            finally:
                torch.set_num_threads(self._config.threads)
        self._state.evaluations.append(
            Evaluation(step=self._state.step, elapsed_s=round(self._state.elapsed_s, 2), scores=scores)
        )
        return scores


@contextmanager
def whole_step() -> Iterator[None]:
    """Ctrl-C within takes effect at the end: a step half done could not be gone on from exactly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed.is_set():
        raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class _Window:
    """Where the last report stood."""

    step: int
    sequences: int
    elapsed_s: float
