"""Settings of an engine that belong to the machine, not to the model."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.errors import ConfigurationError


class EngineConfig(BaseModel):
    """Batching, queueing and threads: ``user_config`` of the Serve config, taken while the engine runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch_size: int = Field(
        default=16, ge=1, le=512, description="Sequences computed at once; a beam counts each"
    )
    batch_wait_timeout_s: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="How long an idle engine waits for company after a first request",
    )
    max_batch_tokens: int = Field(
        default=32_768,
        ge=64,
        description="Prompt and output tokens that the batch may come to hold (KV memory)",
    )
    max_queued_requests: int = Field(
        default=64, ge=1, description="Waiting requests beyond which new ones are refused"
    )
    cpu_threads: int = Field(default=1, ge=1, description="Threads of torch on a CPU")
    stall_after_s: float = Field(
        default=60.0, gt=0, description="A step that takes longer makes the engine unhealthy"
    )


def changed_config(config: EngineConfig, changes: Mapping[str, Any]) -> EngineConfig:
    """The config with other values.

    Raises:
        ConfigurationError: a field is unknown, or its value is out of bounds.
    """
    try:
        return EngineConfig.model_validate(config.model_dump() | dict(changes))
    except ValidationError as error:
        faults = "; ".join(f"{e['loc'][0]}: {e['msg']}, got {e['input']!r}" for e in error.errors())
        raise ConfigurationError(f"The engine's settings are wrong: {faults}.") from error
