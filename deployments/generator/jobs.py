"""A request on its way through the scheduler: waiting, running, answered."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from deployments.generator.detokenizer import Detokenizer, TextStream
from deployments.generator.grammar import RowMatchers
from deployments.generator.memory import MemoryMeter
from deployments.generator.sequences import Sequence, SequenceGroup
from serve_app.contracts import GeneratedText, Generation, MemoryUsage, SamplingParams
from serve_app.errors import PlumblineError

logger = logging.getLogger("plumbline.generator")


@dataclass(slots=True)
class Job:
    """A request as the scheduler sees it. The asking side holds ``future`` and may set ``cancelled``."""

    request_id: str
    prompt: list[int]
    params: SamplingParams
    max_new_tokens: int
    matchers: RowMatchers | None = None
    on_text: Callable[[str], None] | None = None
    future: "Future[Generation]" = field(default_factory=Future)
    cancelled: threading.Event = field(default_factory=threading.Event)
    enqueued_at: float = field(default_factory=time.perf_counter)

    @property
    def rows(self) -> int:
        """Rows of the batch that it may come to need."""
        return self.params.candidates

    @property
    def tokens(self) -> int:
        """Prompt and output tokens that its rows may come to hold."""
        return self.rows * (len(self.prompt) + self.max_new_tokens)

    @property
    def unwanted(self) -> bool:
        """Cancelled, or nobody waits for the result any more."""
        return self.cancelled.is_set() or self.future.cancelled()

    def succeed(self, generation: Generation) -> None:
        try:
            self.future.set_result(generation)
        except InvalidStateError:
            logger.debug("request %s was abandoned before its answer", self.request_id)

    def fail(self, error: PlumblineError) -> None:
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            logger.debug("request %s was abandoned before it failed", self.request_id)


@dataclass(slots=True)
class Running:
    """A job in the batch."""

    job: Job
    group: SequenceGroup
    meter: MemoryMeter
    stream: TextStream | None
    started_at: float = field(default_factory=time.perf_counter)
    batch_size: int = 1
    failure: PlumblineError | None = None


def answer(running: Running, detokenizer: Detokenizer, engine: str, model: str) -> Generation:
    """What the job's sequences have come to, finished or not."""
    job, now = running.job, time.perf_counter()
    generation = Generation(
        texts=tuple(
            _text(sequence, detokenizer, job.params.stop)
            for sequence in running.group.results() or [Sequence()]
        ),
        prompt_tokens=len(job.prompt),
        engine=engine,
        model=model,
        queue_ms=(running.started_at - job.enqueued_at) * 1e3,
        inference_ms=(now - running.started_at) * 1e3,
        batch_size=running.batch_size,
        memory=running.meter.usage(),
    )
    if running.stream is not None:
        running.stream.finish(generation.texts[0].text)
    return generation


def cancelled_while_waiting(job: Job, engine: str, model: str, memory: MemoryUsage) -> Generation:
    """The answer to a job that never ran."""
    return Generation(
        texts=(GeneratedText(text="", token_count=0, finish_reason="cancelled"),),
        prompt_tokens=len(job.prompt),
        engine=engine,
        model=model,
        queue_ms=(time.perf_counter() - job.enqueued_at) * 1e3,
        inference_ms=0.0,
        batch_size=1,
        memory=memory,
    )


def _text(sequence: Sequence, detokenizer: Detokenizer, stop: tuple[str, ...]) -> GeneratedText:
    count = len(sequence.tokens)
    return GeneratedText(
        text=detokenizer.text(sequence.tokens, stop),
        token_count=count,
        mean_logprob=sequence.score / count if count else None,
        min_logprob=min(sequence.logprobs, default=None),
        finish_reason=sequence.finish_reason or "cancelled",
    )
