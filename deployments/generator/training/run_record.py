"""What a training run leaves beside the weights: `training_run.json` for machines, `README.md` for people."""

import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import Field

from deployments.generator.training.config import AdapterTrainingConfig, TrainingConfig, TrainingModel

RECORD_FILE = "training_run.json"
CARD_FILE = "README.md"


class CurvePoint(TrainingModel):
    """The state of the run at one moment."""

    step: int
    elapsed_s: float = Field(description="Training time, evaluation excluded")
    loss: float = Field(description="Mean per completion token since the point before, in nats")
    learning_rate: float
    sequences_per_s: float


class Evaluation(TrainingModel):
    """What the caller's evaluation said of one snapshot."""

    step: int
    elapsed_s: float
    scores: dict[str, float]


class EarlierRun(TrainingModel):
    """What a run went on from, all of its own forerunners included."""

    sequences: int
    training_s: float
    data_digest: str


class BaseModelRecord(TrainingModel):
    """The frozen model that an adapter was trained for."""

    model: str = Field(description="Name on the hub, or the folder it was read from")
    revision: str | None
    digest: str = Field(description="See `deployments.generator.adapters.base_digest`")
    quantization: str
    parameters: int


class TrainingRun(TrainingModel):
    """Everything about a finished run."""

    config: TrainingConfig | AdapterTrainingConfig
    base: BaseModelRecord | None = Field(default=None, description="Of an adapter: what it belongs to")
    earlier: EarlierRun | None = Field(default=None, description="The run whose weights this one began with")
    started_at: datetime
    finished_at: datetime
    device: str
    steps: int
    sequences: int
    tokens: int
    training_s: float
    parameters: int
    vocabulary: int
    data_digest: str = Field(description="SHA-256 chain over every pool of pairs that was used, in order")
    dropped_pairs: int = Field(description="Pairs longer than batch.max_sequence_tokens")
    curve: tuple[CurvePoint, ...]
    evaluations: tuple[Evaluation, ...]
    versions: dict[str, str]

    def as_earlier(self) -> EarlierRun:
        """This run, as the beginning of another."""
        before = self.earlier
        return EarlierRun(
            sequences=self.sequences + (before.sequences if before else 0),
            training_s=self.training_s + (before.training_s if before else 0.0),
            data_digest=self.data_digest,
        )

    @property
    def final_scores(self) -> Mapping[str, float]:
        return self.evaluations[-1].scores if self.evaluations else {}


def library_versions() -> dict[str, str]:
    """Of everything that can change the weights."""
    packages = ("torch", "transformers", "tokenizers", "numpy")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def write_record(run: TrainingRun, folder: Path, description: str = "") -> None:
    """Write the record and the model card into the model's folder."""
    (folder / RECORD_FILE).write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(model_card(run, description), encoding="utf-8")


def read_record(folder: Path) -> TrainingRun | None:
    """The record in a model's folder, if it has one."""
    path = folder / RECORD_FILE
    return TrainingRun.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def _architecture(run: TrainingRun) -> str:
    if isinstance(run.config, AdapterTrainingConfig):
        adapter = run.config.adapter
        modules = ", ".join(adapter.target_modules)
        return f"LoRA adapter, rank {adapter.rank}, alpha {adapter.alpha:g}, on {modules}"
    shape = run.config.shape
    return (
        f"MistralForCausalLM, {shape.layers} layers, width {shape.hidden_size}, "
        f"{shape.attention_heads}/{shape.key_value_heads} heads, "
        f"feed-forward {shape.intermediate_size}, tied embeddings"
    )


def _beginning(run: TrainingRun) -> str:
    base, earlier = run.base, run.earlier
    if base is not None:
        return f"{base.model} ({base.parameters:,} parameters, frozen, quantization {base.quantization})"
    if earlier is None:
        return "random weights"
    return (
        f"the weights of a run of {earlier.sequences:,} sequences and {earlier.training_s / 60:.1f} min "
        f"(data SHA-256 `{earlier.data_digest}`)"
    )


def model_card(run: TrainingRun, description: str = "") -> str:
    """The card as Markdown. ``description`` says what the model is for and what its data was."""
    rows = {
        "architecture": _architecture(run),
        "parameters": f"{run.parameters:,}",
        "vocabulary": f"{run.vocabulary:,}",
        "sequences seen": f"{run.sequences:,}",
        "tokens seen": f"{run.tokens:,}",
        "steps": f"{run.steps:,} of {run.config.batch.sequences * run.config.batches_per_step} sequences",
        "training time": f"{run.training_s / 60:.1f} min on {run.device}, {run.config.threads} CPU threads",
        "began with": _beginning(run),
        "final loss": f"{run.curve[-1].loss:.4f} nats per token" if run.curve else "not measured",
        "seed": str(run.config.seed),
        "data SHA-256": f"`{run.data_digest}`",
        "pairs dropped as too long": f"{run.dropped_pairs:,}",
        "finished": run.finished_at.isoformat(timespec="minutes"),
        "versions": ", ".join(f"{name} {number}" for name, number in run.versions.items()),
    }
    scores = "".join(f"| {name} | {value:.4g} |\n" for name, value in run.final_scores.items())
    return (
        f"# {run.config.name}\n\n{description or 'A causal language model.'}\n\n"
        "## Training\n\n| what | value |\n|---|---|\n"
        + "".join(f"| {name} | {value} |\n" for name, value in rows.items())
        + "\n## Measured\n\n"
        + (f"| score | value |\n|---|---|\n{scores}" if scores else "Not evaluated in this run.\n")
        + f"\nSettings, curve and every evaluation are in `{RECORD_FILE}`.\n"
    )
