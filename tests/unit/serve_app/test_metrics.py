"""The figures of /api/metrics, and what is recorded for Prometheus."""

from fakes import make_generation, make_question

from serve_app import metrics
from serve_app.metrics import Figures, percentile
from serve_app.trace import Trace


class Tally:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float, dict[str, str]]] = []

    def count(self, name: str, value: float = 1.0, **tags: str) -> None:
        self.seen.append((name, value, tags))

    observe = gauge = count


def trace_of(duration_s: float, attempts: int = 1, retries: int = 0) -> Trace:
    trace = Trace(make_question(), attempts=attempts, generation_retries=retries, outcome="answer")
    trace.total_ms = lambda: duration_s * 1000  # type: ignore[method-assign]
    return trace


def test_an_empty_report_has_no_rates() -> None:
    report = Figures(Tally(), clock=lambda: 0.0).report()
    assert report["questions_total"] == 0
    assert report["error_rate"] is report["cache_rate"] is None
    assert report["latency_s"] == {"average": None, "p50": None, "p90": None, "p95": None, "p99": None}


def test_rate_latency_errors_and_retries() -> None:
    now = [0.0]
    figures = Figures(Tally(), clock=lambda: now[0])
    for second in range(10):
        now[0] = float(second)
        figures.question(
            trace_of(second + 1, attempts=2 if second < 2 else 1), "overloaded" if second < 1 else None
        )
    now[0] = 10.0
    report = figures.report()
    assert report["questions_total"] == 10
    assert report["queries_per_second"] == 1.0
    assert report["latency_s"]["average"] == 5.5
    assert report["latency_s"]["p50"] == 5
    assert report["latency_s"]["p99"] == 10
    assert report["error_rate"] == 0.1
    assert report["repair_rate"] == 0.2
    assert report["errors_by_type"] == {"overloaded": 1}
    assert report["outcomes"] == {"error": 1, "answer": 9}
    now[0] = 100.0
    assert figures.report()["queries_per_second"] == 0


def test_the_cache_rate_is_of_questions_that_came_to_a_prompt() -> None:
    figures = Figures(Tally(), clock=lambda: 0.0)
    for cached in (False, True, True, True, None):
        trace = trace_of(1.0)
        trace.schema_cached = cached
        figures.question(trace, None)
    assert figures.report()["cache_rate"] == 0.75


def test_what_is_kept_does_not_grow_with_the_questions() -> None:
    now = [0.0]
    figures = Figures(Tally(), clock=lambda: now[0])
    for second in range(1000):
        now[0] = float(second)
        figures.question(trace_of(1.0), None)
    assert len(figures._recent) == metrics.RATE_WINDOW_S + 1


def test_the_named_metrics_are_recorded() -> None:
    tally = Tally()
    trace = trace_of(1.0, attempts=3, retries=2)
    trace.note_generation(make_generation())
    trace.timings_ms["execute"] = 500.0
    Figures(tally).question(trace, "execution_failed")
    recorded = {name: (value, tags) for name, value, tags in tally.seen}
    assert recorded[metrics.QUERIES_TOTAL] == (1.0, {"outcome": "error"})
    assert recorded[metrics.QUERY_DURATION_SECONDS] == (1.0, {})
    assert recorded[metrics.ERRORS_TOTAL] == (1.0, {"error_type": "execution_failed"})
    assert recorded[metrics.GPU_MEMORY_BYTES] == (10, {"device": "cpu"})
    assert recorded[metrics.STAGE_DURATION_SECONDS] == (0.5, {"stage": "execute"})
    assert recorded[metrics.REPAIRS_TOTAL] == (2, {})
    assert recorded[metrics.GENERATION_RETRIES_TOTAL] == (2, {})
    assert recorded[metrics.GENERATED_TOKENS_TOTAL] == (5, {})


def test_percentiles_are_nearest_rank() -> None:
    assert percentile([], 50) is None
    assert percentile([1.0], 99) == 1.0
    assert [percentile([1.0, 2.0, 3.0, 4.0], p) for p in (1, 25, 50, 75, 99)] == [1.0, 1.0, 2.0, 3.0, 4.0]


def test_answers_are_counted_by_who_gave_them() -> None:
    tally = Tally()
    figures = Figures(tally, clock=lambda: 0.0)
    for engine, model, outcome in (
        ("transformers", "house", "answer"),
        ("transformers", "house", "answer"),
        ("verified", None, "answer"),
        ("transformers", "house", "refusal"),
    ):
        trace = trace_of(1.0)
        trace.engine, trace.model, trace.outcome = engine, model, outcome
        figures.question(trace, None)
    assert figures.report()["answers_by_engine"] == {"house": 2, "verified": 1}
    counted = [tags for name, _, tags in tally.seen if name == metrics.ANSWERS_TOTAL]
    assert counted[-1] == {"engine": "verified", "model": "none"}
    assert len(counted) == 3
