"""A run's state on disk: one file, replaced atomically."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from deployments.generator.training.config import RunConfig
from deployments.generator.training.run_record import CurvePoint, Evaluation

CHECKPOINT_FILE = "checkpoint.pt"

# These do not decide the weights, so a run may go on with others. The length of the run may also be changed:
# it moves the learning rate's end, which is what a person who extends a run wants.
FREE_SETTINGS = frozenset(
    {
        "name",
        "threads",
        "device",
        "export_dtype",
        "checkpoint_every_s",
        "evaluate_every_s",
        "progress_every_s",
    }
)
FREE_OPTIMIZATION = frozenset({"max_steps", "time_budget_s"})


class CheckpointMismatch(RuntimeError):
    """The checkpoint belongs to a run with other settings."""


@dataclass(slots=True)
class TrainingState:
    """Everything that moves during a run, tensors excepted."""

    step: int = 0
    sequences: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    learning_rate: float = 0.0
    pool: int = 0
    batch_in_pool: int = 0
    data_digest: str = ""
    dropped_pairs: int = 0
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    curve: list[CurvePoint] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)

    def add_pool(self, digest: str, dropped: int) -> None:
        """Chain the digest of a pool of pairs that training now starts on."""
        self.data_digest = hashlib.sha256((self.data_digest + digest).encode()).hexdigest()
        self.dropped_pairs += dropped


_STATE = TypeAdapter(TrainingState)


def deciding_settings(config: RunConfig, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings that a resumed run must share with its checkpoint.

    ``given`` identifies what the config does not hold, such as a file of data by its hash.
    """
    settings = config.model_dump(mode="json", exclude=set(FREE_SETTINGS)) | dict(given or {})
    for name in FREE_OPTIMIZATION:
        del settings["optimization"][name]
    return settings


def save_checkpoint(
    work: Path,
    config: RunConfig,
    state: TrainingState,
    weights: Mapping[str, torch.Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    given: Mapping[str, str] | None = None,
) -> None:
    """Write beside the old checkpoint, then rename over it. ``weights`` are those that training changes."""
    staging = work / (CHECKPOINT_FILE + ".new")
    torch.save(
        {
            "settings": deciding_settings(config, given),
            "state": _STATE.dump_python(state, mode="json"),
            "model": dict(weights),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        },
        staging,
    )
    staging.replace(work / CHECKPOINT_FILE)


def load_checkpoint(
    work: Path, config: RunConfig, given: Mapping[str, str] | None = None
) -> tuple[TrainingState, dict[str, Any] | None]:
    """The state to go on from with the saved tensors, or a fresh state and None.

    Raises:
        CheckpointMismatch: the checkpoint was made with settings that decide the weights differently.
    """
    path = work / CHECKPOINT_FILE
    if not path.exists():
        return TrainingState(), None
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    expected = deciding_settings(config, given)
    changed = sorted(key for key in expected if saved["settings"].get(key) != expected[key])
    if changed:
        raise CheckpointMismatch(
            f"{path} was made with other settings ({', '.join(changed)}); "
            "restore them, or start afresh without resuming"
        )
    return _STATE.validate_python(saved["state"]), saved


def restore_random_state(saved: Mapping[str, Any]) -> None:
    """Random numbers go on where the checkpoint left them."""
    torch.set_rng_state(saved["torch_rng"])
    if torch.cuda.is_available() and saved.get("cuda_rng"):
        torch.cuda.set_rng_state_all(saved["cuda_rng"])


def clear_checkpoint(work: Path) -> None:
    (work / CHECKPOINT_FILE).unlink(missing_ok=True)
