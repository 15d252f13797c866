"""Fine-tuning by LoRA: the loop of `trainer` over a small adapter beside a frozen, possibly quantized model.

    run = train_adapter(config, profile, data, out_dir, evaluate=score, progress=print_line)

Needs `peft` (the extra ``train``).
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from deployments.generator.adapters import PEFT_MISSING, base_digest, with_adapter
from deployments.generator.checks import ADAPTER_WEIGHTS_FILE
from deployments.generator.loading import LoadedModel, load_model
from deployments.generator.model_profile import ModelProfile
from deployments.generator.prompt_encoding import PromptEncoder
from deployments.generator.training.checkpoint import clear_checkpoint, load_checkpoint
from deployments.generator.training.config import AdapterTrainingConfig
from deployments.generator.training.data import PairEncoder, RepeatedPairs
from deployments.generator.training.export import READABLE, replace_folder
from deployments.generator.training.instructions import InstructionData, InstructionEncoder
from deployments.generator.training.run_record import BaseModelRecord, TrainingRun, read_record, write_record
from deployments.generator.training.trainer import Progress, Trainer, seed_everything
from serve_app.errors import ConfigurationError

EvaluateLoaded = Callable[[LoadedModel, int], Mapping[str, float]]
"""Scores of the model in memory after a number of steps."""

MERGED_SHARD_SIZE = "4GB"


def train_adapter(
    config: AdapterTrainingConfig,
    profile: ModelProfile,
    data: InstructionData,
    out_dir: Path,
    *,
    work_dir: Path | None = None,
    evaluate: EvaluateLoaded | None = None,
    progress: Callable[[Progress], None] | None = None,
    description: str = "",
    resume: bool = True,
) -> TrainingRun:
    """Train an adapter for the model of ``profile``, or go on from the checkpoint; write it to ``out_dir``.

    ``work_dir`` (default: ``<out_dir>.training``) keeps the checkpoint and snapshots of the adapter.

    Raises:
        ConfigurationError: peft is missing, or the model has no layer that the config names.
        ModelUnavailable: a start-up check failed; see `checks`.
        CheckpointMismatch: the checkpoint was made with another config, base model or file of data.
        DataError: no pair is short enough.
    """
    work = work_dir or out_dir.with_name(out_dir.name + ".training")
    work.mkdir(parents=True, exist_ok=True)
    if not resume:
        clear_checkpoint(work)
    seed_everything(config)
    learner = AdapterLearner(config, profile)
    given = {
        "data": data.sha256,
        "base_model": learner.base.digest,
        "base_quantization": learner.base.quantization,
    }
    state, saved = load_checkpoint(work, config, given)
    pairs = RepeatedPairs(tuple((pair.instruction, pair.input, pair.output) for pair in data.trained))
    trainer = Trainer(config, learner, pairs, work, state, saved, given)

    def scores(folder: Path, step: int) -> Mapping[str, float]:
        assert evaluate is not None
        with learner.inference() as loaded:
            return evaluate(loaded, step)

    trainer.run(scores if evaluate else None, progress or (lambda _: None))
    return trainer.finish(out_dir, scores if evaluate else None, description)


class AdapterLearner:
    """An adapter in float32; the base stays as it was loaded, so its gradients and moments take no memory."""

    def __init__(self, config: AdapterTrainingConfig, profile: ModelProfile) -> None:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise ConfigurationError(PEFT_MISSING) from error
        self._config = config
        self._profile = base_profile(config, profile)
        loaded = load_model(self._profile)
        self._base = BaseModelRecord(
            model=self._profile.source,
            revision=self._profile.revision,
            digest=base_digest(loaded.model),
            quantization=self._profile.quantization,
            parameters=loaded.model.num_parameters(),
        )
        shape = config.adapter
        try:
            self._adapted: Any = get_peft_model(
                loaded.model,
                LoraConfig(
                    r=shape.rank,
                    lora_alpha=shape.alpha,
                    lora_dropout=shape.dropout,
                    target_modules=list(shape.target_modules),
                    task_type="CAUSAL_LM",
                ),
            )
        except ValueError as error:
            raise ConfigurationError(
                f"The model {profile.name} has no layers named {', '.join(shape.target_modules)}; "
                "correct adapter.target_modules.",
                detail=str(error),
            ) from error
        self._loaded = replace(loaded, model=self._adapted.get_base_model())
        if config.gradient_checkpointing:
            # The reentrant kind would need inputs with gradients, which frozen embeddings do not give.
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.model.train()

    @property
    def base(self) -> BaseModelRecord:
        return self._base

    @property
    def model(self) -> PreTrainedModel:
        return self._loaded.model

    @property
    def device(self) -> torch.device:
        return self._loaded.device

    @property
    def encoder(self) -> PairEncoder:
        loaded = self._loaded
        chat = self._profile.prompt_format == "chat"
        prompts = PromptEncoder(loaded.tokenizer, loaded.backend, loaded.context_tokens, chat)
        return InstructionEncoder(prompts, loaded.pad_id, self._config.batch)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        settings = self._config.optimization
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return [
            torch.optim.AdamW(
                trained,
                lr=settings.learning_rate,
                betas=(settings.beta1, settings.beta2),
                weight_decay=settings.weight_decay,
                fused=True,
            )
        ]

    def weights(self) -> Mapping[str, torch.Tensor]:
        from peft import get_peft_model_state_dict

        found: Mapping[str, torch.Tensor] = get_peft_model_state_dict(
            self._adapted, save_embedding_layers=False
        )
        return found

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(self._adapted, dict(weights))

    def export(self, folder: Path) -> None:
        staging = folder.with_name(folder.name + ".new")
        shutil.rmtree(staging, ignore_errors=True)
        self._adapted.save_pretrained(str(staging), save_embedding_layers=False)
        (staging / ADAPTER_WEIGHTS_FILE).chmod(READABLE)
        replace_folder(staging, folder)

    def facts(self) -> dict[str, Any]:
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return {
            "config": self._config,
            "base": self._base,
            "parameters": trained,
            "vocabulary": self.model.config.vocab_size,
        }

    @contextmanager
    def inference(self) -> Iterator[LoadedModel]:
        """The model as an engine may use it; afterwards it trains on."""
        self.model.eval()
        try:
            yield self._loaded
        finally:
            self.model.train()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()


def base_profile(config: AdapterTrainingConfig, profile: ModelProfile) -> ModelProfile:
    """How the frozen model is loaded for a run: in the run's precision, on its device."""
    return profile.model_copy(
        update={
            "device": config.device,
            "quantization": config.quantization or profile.quantization,
            "dtype": config.precision,
            "adapter": None,
        }
    )


def merge_adapter(profile: ModelProfile, adapter: Path, out_dir: Path, device: str = "cpu") -> None:
    """Write a model's full weights with an adapter merged into them, and its tokenizer.

    Needs memory for the whole unquantized model: in bfloat16, unless the profile names another type.

    Raises:
        ConfigurationError, ModelUnavailable: see `load_model` and `with_adapter`.
    """
    whole = profile.model_copy(
        update={
            "quantization": "none",
            "dtype": "bfloat16" if profile.dtype == "auto" else profile.dtype,
            "device": device,
            "adapter": None,
        }
    )
    loaded = load_model(whole)
    merged = with_adapter(loaded.model, adapter, merge=True)
    staging = out_dir.with_name(out_dir.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    merged.save_pretrained(staging, max_shard_size=MERGED_SHARD_SIZE)
    for weights in staging.glob("*.safetensors"):
        weights.chmod(READABLE)
    loaded.tokenizer.save_pretrained(staging)
    record = read_record(adapter)
    if record is not None:
        write_record(record, staging, f"The adapter of this run, merged into {profile.source}.")
    replace_folder(staging, out_dir)
