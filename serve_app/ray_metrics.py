"""The metrics of `serve_app.metrics` on Ray's metrics port."""

from ray.serve import metrics

from serve_app import metrics as names


class RayRecorder:
    """Counters, histograms and gauges of this replica. Created inside of a replica: Serve adds its tags."""

    def __init__(self) -> None:
        self._counters = {
            names.QUERIES_TOTAL: metrics.Counter(
                names.QUERIES_TOTAL, "Questions by outcome", tag_keys=("outcome",)
            ),
            names.ERRORS_TOTAL: metrics.Counter(
                names.ERRORS_TOTAL, "Errors by type", tag_keys=("error_type",)
            ),
            names.ANSWERS_TOTAL: metrics.Counter(
                names.ANSWERS_TOTAL, "Answers by who gave them", tag_keys=("engine", "model")
            ),
            names.REPAIRS_TOTAL: metrics.Counter(
                names.REPAIRS_TOTAL, "Repairs of rejected or failed statements"
            ),
            names.GENERATION_RETRIES_TOTAL: metrics.Counter(
                names.GENERATION_RETRIES_TOTAL, "Generations tried again after a failure"
            ),
            names.GENERATED_TOKENS_TOTAL: metrics.Counter(names.GENERATED_TOKENS_TOTAL, "Tokens generated"),
        }
        boundaries = list(names.DURATION_BOUNDARIES_S)
        self._histograms = {
            names.QUERY_DURATION_SECONDS: metrics.Histogram(
                names.QUERY_DURATION_SECONDS, "Seconds from question to answer", boundaries=boundaries
            ),
            names.STAGE_DURATION_SECONDS: metrics.Histogram(
                names.STAGE_DURATION_SECONDS, "Seconds in a stage", boundaries=boundaries, tag_keys=("stage",)
            ),
        }
        self._gauges = {
            names.GPU_MEMORY_BYTES: metrics.Gauge(
                names.GPU_MEMORY_BYTES, "Device memory after a generation", tag_keys=("device",)
            ),
        }

    def count(self, name: str, value: float = 1.0, **tags: str) -> None:
        self._counters[name].inc(value, tags=tags)

    def observe(self, name: str, value: float, **tags: str) -> None:
        self._histograms[name].observe(value, tags=tags)

    def gauge(self, name: str, value: float, **tags: str) -> None:
        self._gauges[name].set(value, tags=tags)
