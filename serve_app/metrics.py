"""All metrics by name, and the figures behind GET /api/metrics. Nothing here needs Ray."""

import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from serve_app.trace import Trace

QUERIES_TOTAL = "mistral_queries_total"
QUERY_DURATION_SECONDS = "mistral_query_duration_seconds"
GPU_MEMORY_BYTES = "mistral_gpu_memory_bytes"
ERRORS_TOTAL = "mistral_errors_total"
STAGE_DURATION_SECONDS = "plumbline_stage_duration_seconds"
ANSWERS_TOTAL = "plumbline_answers_total"
REPAIRS_TOTAL = "plumbline_repairs_total"
GENERATION_RETRIES_TOTAL = "plumbline_generation_retries_total"
GENERATED_TOKENS_TOTAL = "plumbline_generated_tokens_total"

# Seconds; the targets are 5 s for a simple and 15 s for a complex question.
DURATION_BOUNDARIES_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)

# Percentiles of /api/metrics are taken over this many last questions.
WINDOW_QUESTIONS = 1000
# Queries per second are counted over this long.
RATE_WINDOW_S = 60.0


class Recorder(Protocol):
    """Where the numbers go: Ray's metrics agent in a replica, nothing in tests."""

    def count(self, name: str, value: float = 1.0, **tags: str) -> None: ...

    def observe(self, name: str, value: float, **tags: str) -> None: ...

    def gauge(self, name: str, value: float, **tags: str) -> None: ...


class NullRecorder:
    """Records nothing."""

    def count(self, name: str, value: float = 1.0, **tags: str) -> None:
        return None

    def observe(self, name: str, value: float, **tags: str) -> None:
        return None

    def gauge(self, name: str, value: float, **tags: str) -> None:
        return None


class _Sample(NamedTuple):
    """What is kept of a finished question."""

    duration_s: float
    error_type: str | None
    repairs: int
    generation_retries: int
    schema_cached: bool | None


class Figures:
    """Rate, latency and error figures of this replica since it started. One event loop only: no locks."""

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = time.monotonic) -> None:
        self._recorder = recorder
        self._clock = clock
        self._started = clock()
        self._window: deque[_Sample] = deque(maxlen=WINDOW_QUESTIONS)
        self._recent: deque[float] = deque()
        self._outcomes: Tally[str] = Tally()
        self._answers: Tally[str] = Tally()
        self._errors: Tally[str] = Tally()
        self._gpu_memory_bytes: dict[str, int] = {}
        self._peak_memory_bytes: dict[str, int] = {}

    def question(self, trace: Trace, error_type: str | None) -> None:
        """Count one finished question. ``error_type`` is None unless it ended in an error."""
        now = self._clock()
        repairs = max(trace.attempts - 1, 0)
        duration_s = trace.total_ms() / 1000
        self._window.append(
            _Sample(duration_s, error_type, repairs, trace.generation_retries, trace.schema_cached)
        )
        self._recent.append(now)
        self._forget_old(now)
        self._outcomes["error" if error_type else trace.outcome] += 1
        self._recorder.count(QUERIES_TOTAL, outcome="error" if error_type else trace.outcome)
        self._recorder.observe(QUERY_DURATION_SECONDS, duration_s)
        for stage, elapsed_ms in trace.timings_ms.items():
            self._recorder.observe(STAGE_DURATION_SECONDS, elapsed_ms / 1000, stage=stage)
        if trace.outcome == "answer" and not error_type:
            self._answer(trace.engine or "unknown", trace.model)
        if repairs:
            self._recorder.count(REPAIRS_TOTAL, repairs)
        if trace.generation_retries:
            self._recorder.count(GENERATION_RETRIES_TOTAL, trace.generation_retries)
        if trace.output_tokens:
            self._recorder.count(GENERATED_TOKENS_TOTAL, trace.output_tokens)
        if trace.memory is not None:
            self._memory(trace.memory.device, trace.memory.after_bytes, trace.memory.peak_bytes)
        if error_type:
            self.error(error_type)

    def error(self, error_type: str) -> None:
        """Count one error, of a question or of any other request."""
        self._errors[error_type] += 1
        self._recorder.count(ERRORS_TOTAL, error_type=error_type)

    def _answer(self, engine: str, model: str | None) -> None:
        """Count who answered: an engine that does not generate has no model."""
        self._answers[model or engine] += 1
        self._recorder.count(ANSWERS_TOTAL, engine=engine, model=model or "none")

    def _memory(self, device: str, used: int, peak: int) -> None:
        self._gpu_memory_bytes[device] = used
        self._peak_memory_bytes[device] = max(peak, self._peak_memory_bytes.get(device, 0))
        self._recorder.gauge(GPU_MEMORY_BYTES, used, device=device)

    def _forget_old(self, now: float) -> None:
        while self._recent and now - self._recent[0] > RATE_WINDOW_S:
            self._recent.popleft()

    def report(self) -> dict[str, Any]:
        """The figures as JSON: latencies in seconds, rates from 0 to 1, null before the first question.

        ``cache_rate``: questions whose schema was at hand when their prompt was built.
        """
        now = self._clock()
        self._forget_old(now)
        durations = sorted(s.duration_s for s in self._window)
        n = len(durations)
        cached = [s.schema_cached for s in self._window if s.schema_cached is not None]
        span_s = max(min(now - self._started, RATE_WINDOW_S), 1e-9)
        return {
            "questions_total": sum(self._outcomes.values()),
            "queries_per_second": len(self._recent) / span_s,
            "outcomes": dict(self._outcomes),
            "answers_by_engine": dict(self._answers),
            "errors_by_type": dict(self._errors),
            "error_rate": sum(s.error_type is not None for s in self._window) / n if n else None,
            "repair_rate": sum(s.repairs > 0 for s in self._window) / n if n else None,
            "retry_rate": sum(s.repairs + s.generation_retries > 0 for s in self._window) / n if n else None,
            "cache_rate": sum(cached) / len(cached) if cached else None,
            "latency_s": {
                "average": sum(durations) / n if n else None,
                **{f"p{p}": percentile(durations, p) for p in (50, 90, 95, 99)},
            },
            "memory_bytes": dict(self._gpu_memory_bytes),
            "peak_memory_bytes": dict(self._peak_memory_bytes),
            "window_questions": n,
            "uptime_s": now - self._started,
        }


def percentile(ordered: list[float], p: int) -> float | None:
    """The nearest-rank percentile of an ascending list; None of an empty one."""
    if not ordered:
        return None
    return ordered[max(-(-p * len(ordered) // 100), 1) - 1]
