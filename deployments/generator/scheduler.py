"""One thread that owns the model: it lets jobs into the batch, takes steps and answers.

Between two steps jobs leave (finished, cancelled, abandoned) and waiting jobs join, first come first served,
as long as their rows and tokens fit. A failing step fails the jobs that were in it and nothing else.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from deployments.generator.batch import RunningBatch
from deployments.generator.detokenizer import Detokenizer
from deployments.generator.engine_config import EngineConfig
from deployments.generator.jobs import Job, Running, answer, cancelled_while_waiting
from deployments.generator.loading import LoadedModel
from deployments.generator.memory import MemoryMeter
from serve_app.errors import GenerationFailed, ModelUnavailable, Overloaded, PlumblineError

logger = logging.getLogger("plumbline.generator")

CLOSE_TIMEOUT_S = 30.0
MIN_RETRY_AFTER_S, MAX_RETRY_AFTER_S = 1.0, 60.0
SERVICE_TIME_SMOOTHING = 0.2  # weight of the newest answer in the mean that retry_after_s is estimated from


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """What the thread is doing, for health checks and metrics."""

    alive: bool
    queued: int
    active: int
    rows: int
    step_running_s: float


class Scheduler:
    """`enqueue`, `cancel`, `configure` and `state` may be called from any thread."""

    def __init__(
        self, loaded: LoadedModel, detokenizer: Detokenizer, engine: str, config: EngineConfig
    ) -> None:
        self._loaded = loaded
        self._detokenizer = detokenizer
        self._engine = engine
        self._config = config
        self._wake = threading.Condition()
        self._queue: deque[Job] = deque()
        self._closed = False
        self._batch = RunningBatch(loaded, detokenizer)
        self._step_started: float | None = None
        self._service_s = MIN_RETRY_AFTER_S
        self._thread = threading.Thread(target=self._run, name="generator", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def configure(self, config: EngineConfig) -> None:
        with self._wake:
            self._config = config
            self._wake.notify()

    def enqueue(self, job: Job) -> None:
        """Raises Overloaded when the queue is full and ModelUnavailable when the engine is closed."""
        with self._wake:
            if self._closed:
                raise ModelUnavailable("The language model is shutting down. Please try again in a moment.")
            if len(self._queue) >= self._config.max_queued_requests:
                raise Overloaded(retry_after_s=self._retry_after_s())
            self._queue.append(job)
            self._wake.notify()

    def cancel(self, request_id: str) -> bool:
        """End the request of that id; False if there is none."""
        with self._wake:
            jobs = [job for job in (*self._queue, *self._batch.jobs) if job.request_id == request_id]
            for job in jobs:
                job.cancelled.set()
            self._wake.notify()
        return bool(jobs)

    def nudge(self) -> None:
        """Let the thread see at once that a waiting job was abandoned."""
        with self._wake:
            self._wake.notify()

    def state(self) -> SchedulerState:
        started = self._step_started
        return SchedulerState(
            alive=self._thread.is_alive(),
            queued=len(self._queue),
            active=len(self._batch.jobs),
            rows=self._batch.row_count,
            step_running_s=time.perf_counter() - started if started is not None else 0.0,
        )

    def close(self) -> None:
        """Fail what waits and what runs, end the thread. May be called twice."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(CLOSE_TIMEOUT_S)

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._step_started = time.perf_counter()
                self._use_threads()
                self._drop_unwanted()
                self._admit()
                self._step()
                self._step_started = None
        finally:
            # Also after a bug: nobody may wait for a thread that has ended.
            self._end()

    def _use_threads(self) -> None:
        """Follow the config: torch keeps the number for the calling thread alone."""
        threads = self._config.cpu_threads
        if self._loaded.device.type == "cpu" and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)

    def _end(self) -> None:
        """Refuse what comes, fail what waits and what runs."""
        stopped = ModelUnavailable("The language model was stopped. Please try again in a moment.")
        with self._wake:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
        for job in [*waiting, *self._batch.jobs]:
            job.fail(stopped)
        self._batch.clear()

    def _wait_for_work(self) -> bool:
        """True when there is something to compute, False when the engine is closed."""
        with self._wake:
            if not self._batch.jobs:
                self._wake.wait_for(lambda: self._closed or bool(self._queue))
                wait_s = self._config.batch_wait_timeout_s
                if wait_s:
                    self._wake.wait_for(lambda: self._closed or self._queue_fills_batch(), timeout=wait_s)
            return not self._closed

    def _queue_fills_batch(self) -> bool:
        return sum(job.rows for job in self._queue) >= self._config.max_batch_size

    def _drop_unwanted(self) -> None:
        """Take cancelled and abandoned jobs out of the queue and out of the batch."""
        with self._wake:
            unwanted = [job for job in self._queue if job.unwanted]
            for job in unwanted:
                self._queue.remove(job)
        for job in unwanted:
            memory = MemoryMeter(self._loaded.device).usage()
            job.succeed(cancelled_while_waiting(job, self._engine, self._loaded.name, memory))
        self._answer(self._batch.drop_unwanted())

    def _admit(self) -> None:
        """Let waiting jobs in as far as they fit. If their prompts fail, the batch goes on without them."""
        jobs = self._take_fitting()
        if not jobs:
            return
        try:
            self._answer(self._batch.admit(jobs))
        except Exception as error:
            self._fail(jobs, error)

    def _step(self) -> None:
        try:
            self._answer(self._batch.step())
        except Exception as error:  # the thread must outlive any failure of the model
            self._fail([running.job for running in self._batch.clear()], error)

    def _take_fitting(self) -> list[Job]:
        taken: list[Job] = []
        with self._wake:
            active = self._batch.jobs
            rows = sum(job.rows for job in active)
            tokens = sum(job.tokens for job in active)
            while self._queue:
                job = self._queue[0]
                rows += job.rows
                tokens += job.tokens
                fits = rows <= self._config.max_batch_size and tokens <= self._config.max_batch_tokens
                # A job too large for a limit that was lowered meanwhile still runs, alone.
                if not fits and (active or taken):
                    break
                taken.append(self._queue.popleft())
        return taken

    def _answer(self, finished: Iterable[Running]) -> None:
        for running in finished:
            if running.failure is not None:
                running.job.fail(running.failure)
                continue
            generation = answer(running, self._detokenizer, self._engine, self._loaded.name)
            self._service_s += SERVICE_TIME_SMOOTHING * (generation.inference_ms / 1e3 - self._service_s)
            running.job.succeed(generation)

    def _fail(self, jobs: Iterable[Job], error: Exception) -> None:
        logger.error("a generation step failed", exc_info=error)
        failure: PlumblineError = GenerationFailed(detail=f"{type(error).__name__}: {error}")
        if isinstance(error, torch.cuda.OutOfMemoryError):
            torch.cuda.empty_cache()
            failure = Overloaded(detail=str(error), retry_after_s=self._retry_after_s())
        for job in jobs:
            job.fail(failure)

    def _retry_after_s(self) -> float:
        """When the queue as it is should have been worked off."""
        waves = 1 + len(self._queue) / self._config.max_batch_size
        return round(min(max(waves * self._service_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S), 1)
