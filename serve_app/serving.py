"""What every deployment starts with when a Serve config says nothing else."""

from typing import Any

# A lost replica is noticed within one health check: questions wait for its successor until then. One that
# hangs is replaced after three checks without an answer.
DEPLOYMENT_DEFAULTS: dict[str, Any] = {
    "max_ongoing_requests": 64,
    "health_check_period_s": 3,
    "health_check_timeout_s": 10,
}
