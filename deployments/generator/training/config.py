"""Settings of a training run, read from YAML. Everything that decides the weights stands here."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrainingModel(BaseModel):
    """Base of the training settings: frozen, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelShape(TrainingModel):
    """Size of a MistralForCausalLM."""

    hidden_size: int = Field(default=256, ge=16, description="Width; a multiple of attention_heads")
    layers: int = Field(default=5, ge=1, description="Transformer blocks")
    attention_heads: int = Field(default=4, ge=1, description="Query heads")
    key_value_heads: int = Field(default=2, ge=1, description="Key/value heads; divides attention_heads")
    intermediate_size: int = Field(default=768, ge=16, description="Width of the feed-forward layer")
    max_positions: int = Field(
        default=1024, ge=32, description="Longest sequence the weights are meant for, in tokens"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden_size % self.attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of attention_heads, "
                f"got {self.hidden_size} and {self.attention_heads}"
            )
        if self.attention_heads % self.key_value_heads:
            raise ValueError(
                f"attention_heads must be a multiple of key_value_heads, "
                f"got {self.attention_heads} and {self.key_value_heads}"
            )
        return self


class TokenizerConfig(TrainingModel):
    """The byte-level BPE learned before training; added tokens come on top of ``vocab_size``."""

    vocab_size: int = Field(default=2500, ge=300, description="Learned pieces, the 256 bytes included")
    sample_pairs: int = Field(
        default=60_000, ge=1, description="Pairs read from the stream to learn the merges"
    )
    min_frequency: int = Field(default=2, ge=1, description="Rarest pair of pieces that is still merged")


class OptimizationConfig(TrainingModel):
    """Linear warm-up and linear decay, ended by steps or by time, whichever comes first."""

    optimizer: Literal["muon", "adamw"] = Field(
        default="muon",
        description="Of the matrices; embeddings and norms always take AdamW. At equal time on a CPU, Muon "
        "learns about twice as fast from these short sequences",
    )
    learning_rate: float = Field(default=1.5e-3, gt=0, description="Peak learning rate of AdamW")
    matrix_learning_rate: float = Field(default=0.02, gt=0, description="Peak learning rate of Muon")
    final_learning_rate_fraction: float = Field(
        default=0.02, ge=0, le=1, description="Of the peak, at the end"
    )
    warmup_steps: int = Field(default=200, ge=0, description="Steps of linear warm-up")
    weight_decay: float = Field(default=0.05, ge=0, description="On matrices only, embeddings excepted")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="AdamW first moment")
    beta2: float = Field(default=0.98, ge=0, lt=1, description="AdamW second moment")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="Nesterov momentum of Muon")
    gradient_clip: float = Field(default=1.0, gt=0, description="Largest global gradient norm")
    max_steps: int | None = Field(default=None, ge=1, description="Optimizer steps")
    time_budget_s: float | None = Field(
        default=3000.0, gt=0, description="Training time, evaluation excluded"
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.max_steps is None and self.time_budget_s is None:
            raise ValueError("one of max_steps and time_budget_s must be set, both are null")
        return self


class BatchConfig(TrainingModel):
    """How pairs become batches: pools sorted by length, so that a batch holds hardly any padding."""

    sequences: int = Field(default=64, ge=1, description="Sequences per step")
    pool_batches: int = Field(default=64, ge=1, description="Batches made from one length-sorted pool")
    max_sequence_tokens: int = Field(default=256, ge=8, description="Longer pairs are dropped and counted")
    prompt_loss_weight: float = Field(
        default=0.0, ge=0, le=1, description="Weight of a prompt token in the loss; a completion token has 1"
    )
    workers: int = Field(
        default=1, ge=0, description="Processes that make batches; 0 makes them in the trainer"
    )

    @property
    def pool_sequences(self) -> int:
        return self.sequences * self.pool_batches


class RunConfig(TrainingModel):
    """What every training run has, whatever it trains."""

    name: str = Field(default="house", description="Name of the model, for its card")
    seed: int = Field(default=1, ge=0, description="Of weights, data and order")
    optimization: OptimizationConfig = Field(
        default=OptimizationConfig(), description="Optimizer and length of the run"
    )
    batch: BatchConfig = Field(default=BatchConfig(), description="Batches and loss")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes CUDA where there is one"
    )
    threads: int = Field(default=1, ge=1, description="CPU threads of the trainer")
    precision: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="Of matrix products; trained weights stay float32"
    )
    checkpoint_every_s: float = Field(default=180.0, gt=0, description="Time between checkpoints")
    evaluate_every_s: float | None = Field(
        default=600.0, gt=0, description="Time between evaluations; null for the end only"
    )
    progress_every_s: float = Field(default=10.0, gt=0, description="Time between progress lines")

    @property
    def batches_per_step(self) -> int:
        return 1

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is out of bounds.
        """
        return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})


class TrainingConfig(RunConfig):
    """A run that trains a model of its own from scratch."""

    shape: ModelShape = Field(default=ModelShape(), description="Size of the model")
    tokenizer: TokenizerConfig = Field(default=TokenizerConfig(), description="Size of the vocabulary")
    export_dtype: Literal["float16", "bfloat16", "float32"] = Field(
        default="float16", description="Of the saved weights"
    )


class AdapterShape(TrainingModel):
    """Low-rank matrices beside the frozen weights (LoRA, Hu et al. 2021)."""

    rank: int = Field(default=16, ge=1, le=1024, description="Rank of each update")
    alpha: float = Field(default=32.0, gt=0, description="The update is scaled by alpha / rank")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Of the adapter's input, while training")
    target_modules: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj"),
        min_length=1,
        description="Linear layers that get an adapter, by the end of their names",
    )


class AdapterTrainingConfig(RunConfig):
    """A run that trains a LoRA adapter for an existing model."""

    base: str = Field(min_length=1, description="Model profile under configs/models/ that is fine-tuned")
    quantization: Literal["8bit", "4bit", "none"] | None = Field(
        default=None, description="Of the frozen base, by bitsandbytes; null: the profile's own"
    )
    adapter: AdapterShape = Field(default=AdapterShape(), description="The adapter")
    accumulation: int = Field(
        default=1, ge=1, description="Batches whose gradients make one step; saves memory, not time"
    )
    gradient_checkpointing: bool = Field(
        default=True, description="Compute activations again in the backward pass instead of keeping them"
    )
    held_out_one_in: int = Field(
        default=50,
        ge=2,
        description="One pair in so many, by hash of its input, is scored and never trained on",
    )
    held_out_pairs: int = Field(default=200, ge=1, description="Held-out pairs scored at each evaluation")

    @property
    def batches_per_step(self) -> int:
        return self.accumulation

    @model_validator(mode="after")
    def _adamw(self) -> Self:
        if self.optimization.optimizer != "adamw":
            raise ValueError(
                f"optimization.optimizer must be adamw for an adapter, got {self.optimization.optimizer}"
            )
        return self
