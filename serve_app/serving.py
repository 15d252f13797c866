"""What every deployment starts with when a Serve config says nothing else."""

from typing import Any

# A lost replica is noticed within one health check: questions wait for its successor until then.
DEPLOYMENT_DEFAULTS: dict[str, Any] = {"max_ongoing_requests": 64, "health_check_period_s": 3}
