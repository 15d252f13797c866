"""The jobs that are being computed together, one token a step."""

from collections.abc import Sequence as Sequence_

import torch

from deployments.generator.detokenizer import Detokenizer, TextStream
from deployments.generator.jobs import Job, Running
from deployments.generator.loading import LoadedModel
from deployments.generator.memory import MemoryMeter, step_peak_bytes
from deployments.generator.rows import Rows
from deployments.generator.sequences import Ending, NextRow, RowScores, make_group
from serve_app.errors import GenerationFailed, OutputTooLong


class RunningBatch:
    """Jobs join by `admit`, move by `step` and leave as soon as they are finished. Used by one thread."""

    def __init__(self, loaded: LoadedModel, detokenizer: Detokenizer) -> None:
        self._loaded = loaded
        self._detokenizer = detokenizer
        self._running: list[Running] = []
        self._rows: Rows | None = None
        self._next_tokens: list[int] = []

    @property
    def jobs(self) -> list[Job]:
        return [running.job for running in self._running]

    @property
    def row_count(self) -> int:
        return len(self._next_tokens)

    def admit(self, jobs: Sequence_[Job]) -> list[Running]:
        """Run the prompts of ``jobs`` and let them join; those that are finished after one token."""
        joining = [self._start(job) for job in jobs]
        rows, logits = Rows.prefill(self._loaded.model, [job.prompt for job in jobs], self._loaded.pad_id)
        next_rows, finished = self._advance(joining, [1] * len(joining), logits)
        self._running += [running for running in joining if running not in finished]
        if next_rows:
            rows.select([row for row, _ in next_rows])
            if self._rows is None:
                self._rows = rows
            else:
                self._rows.merge(rows)
            self._next_tokens += [token for _, token in next_rows]
        return finished

    def step(self) -> list[Running]:
        """One token for every row; the jobs that are finished by it."""
        if self._rows is None:
            return []
        logits = self._rows.step(self._loaded.model, self._next_tokens)
        counts = [len(running.group.live) for running in self._running]
        next_rows, finished = self._advance(self._running, counts, logits)
        self._running = [running for running in self._running if running not in finished]
        self._continue_with(next_rows)
        return finished

    def drop_unwanted(self) -> list[Running]:
        """Take out the jobs that were cancelled or that nobody waits for."""
        unwanted = [running for running in self._running if running.job.unwanted]
        if unwanted:
            owners = [running for running in self._running for _ in running.group.live]
            kept = [row for row, owner in enumerate(owners) if owner not in unwanted]
            self._running = [running for running in self._running if running not in unwanted]
            self._continue_with([(row, self._next_tokens[row]) for row in kept])
        return unwanted

    def clear(self) -> list[Running]:
        """Empty the batch; the jobs that were in it."""
        running, self._running = self._running, []
        self._continue_with([])
        return running

    def _start(self, job: Job) -> Running:
        ending = Ending(
            self._loaded.end_tokens,
            job.max_new_tokens,
            job.params.stop,
            self._detokenizer.contains,
            whole_only=job.matchers is not None,
        )
        stream = TextStream(self._detokenizer, job.params.stop, job.on_text) if job.on_text else None
        return Running(job, make_group(job.params, ending), MemoryMeter(self._loaded.device), stream)

    def _continue_with(self, next_rows: list[NextRow]) -> None:
        """Shrink and reorder the rows; an empty batch gives its memory back."""
        if self._rows is not None and next_rows:
            self._rows.select([row for row, _ in next_rows])
        else:
            self._rows = None
            if self._loaded.device.type == "cuda":
                torch.cuda.empty_cache()
        self._next_tokens = [token for _, token in next_rows]

    def _advance(
        self, running_jobs: Sequence_[Running], counts: list[int], logits: torch.Tensor
    ) -> tuple[list[NextRow], list[Running]]:
        """Give each job the scores of its ``counts`` rows; the rows to go on with, and the finished jobs."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        ends = torch.tensor(counts).cumsum(0).tolist()
        spans = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
        for running, span in zip(running_jobs, spans, strict=True):
            _constrain(running, logprobs[span])
        values, tokens = logprobs.max(dim=-1)
        likeliest = list(zip(tokens.tolist(), values.tolist(), strict=True))
        peak = step_peak_bytes(self._loaded.device)
        next_rows: list[NextRow] = []
        finished: list[Running] = []
        for running, span in zip(running_jobs, spans, strict=True):
            rows = _next_rows(running, RowScores(logprobs[span], likeliest[span]))
            next_rows += [(span.start + row, token) for row, token in rows]
            running.batch_size = max(running.batch_size, len(likeliest))
            running.meter.sample(peak)
            if not rows:
                finished.append(running)
            elif running.stream is not None and running.job.rows == 1:
                running.stream.update(running.group.live[0].tokens)
        return next_rows, finished


def _constrain(running: Running, logprobs: torch.Tensor) -> None:
    """Forbid what a job's grammar does not allow, in place. A failing grammar fails its own job alone."""
    if running.job.matchers is None:
        return
    try:
        running.job.matchers.forbid(logprobs)
    except Exception as error:
        running.failure = _grammar_failure(error)


def _next_rows(running: Running, scores: RowScores) -> list[NextRow]:
    """The job's rows to go on with, its grammar moved along; none if it is finished or has failed."""
    if running.failure is not None:
        return []
    rows = running.group.advance(scores)
    if running.job.matchers is None:
        return rows
    if not rows and not running.group.results():
        running.failure = OutputTooLong(detail=f"no output within {running.job.max_new_tokens} tokens")
    try:
        running.job.matchers.follow(rows)
    except Exception as error:
        running.failure = _grammar_failure(error)
        return []
    return rows


def _grammar_failure(error: Exception) -> GenerationFailed:
    return GenerationFailed(detail=f"the output grammar failed: {type(error).__name__}: {error}")
