"""What the fixture of the running graph tells its tests."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deployments.executor.embedded import EmbeddedDatabase

CONCURRENT, QUEUED = 4, 8
STAGE_TIMEOUT_S = 8.0
HEADER_AND_BODY_S = 4.0
# A frozen replica is missed after three of them.
HEALTH_CHECKS = {"health_check_period_s": 1, "health_check_timeout_s": 4}


class Graph(NamedTuple):
    """Where the running graph listens, and the database behind it."""

    url: str
    database: EmbeddedDatabase


def tiny_profile_file(folder: Path, name: str, **changes: Any) -> Path:
    """The profile of a small random model that is asked as an instruction model is."""
    # Imported late, so that collecting the tests does not cost seconds.
    from tiny_models import tiny_profile

    model = tiny_profile(
        name=name,
        prompt_profile="instruction",
        prompt_format="chat",
        context_tokens=16_384,
        sampling={"max_new_tokens": 8, "temperature": 0.0},
        **changes,
    )
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(model.model_dump(mode="json")), encoding="utf-8")
    return path
