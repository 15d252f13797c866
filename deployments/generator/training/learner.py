"""What a run trains. The loop in `trainer` knows nothing of how weights are made, kept or written."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import MistralForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from deployments.generator.training.config import OptimizationConfig, RunConfig, TrainingConfig
from deployments.generator.training.data import PairEncoder, PairSource
from deployments.generator.training.export import export_model, load_weights, new_model
from deployments.generator.training.tokenizer import added_token, train_tokenizer


class Learner(Protocol):
    """A causal language model whose weights, or some of them, are trained."""

    @property
    def model(self) -> PreTrainedModel:
        """On its device and in training mode; has ``model`` (hidden states) and ``lm_head`` (logits)."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def encoder(self) -> PairEncoder:
        """Pairs to token ids, as they stand at inference."""
        ...

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """New ones, over what is trained."""
        ...

    def weights(self) -> Mapping[str, torch.Tensor]:
        """What is trained, by name."""
        ...

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take over what `weights` gave."""
        ...

    def export(self, folder: Path) -> None:
        """Write a folder that a model profile can name; a folder that is there is replaced at once."""
        ...

    def facts(self) -> dict[str, Any]:
        """Fields of `TrainingRun` that only this kind of learner knows: config, parameters, vocabulary, …"""
        ...


def chosen_device(config: RunConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


class HouseLearner:
    """A small Mistral from scratch, with a tokenizer learned from the pairs."""

    def __init__(
        self,
        config: TrainingConfig,
        pairs: PairSource,
        work: Path,
        added_tokens: Sequence[str],
        start_from: Path | None,
        fresh: bool,
    ) -> None:
        """``fresh``: no checkpoint is gone on from."""
        self._config = config
        self._tokenizer = _tokenizer(config, pairs, work, added_tokens, start_from, fresh)
        self._model = new_model(config.shape, self._tokenizer)
        if start_from is not None and fresh:
            load_weights(self._model, start_from)
        self._device = chosen_device(config)
        self._model.to(self._device)
        if self._device.type == "cpu":
            # For some 20 tokens a sequence, plain matrix products take a third of the fused kernel's backward
            # pass.
            self._model.set_attn_implementation("eager")

    @property
    def model(self) -> MistralForCausalLM:
        return self._model

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def encoder(self) -> PairEncoder:
        tokenizer = self._tokenizer
        return PairEncoder(
            tokenizer.backend_tokenizer, tokenizer.eos_token_id, tokenizer.pad_token_id, self._config.batch
        )

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return _optimizers(self._model, self._config.optimization)

    def weights(self) -> Mapping[str, torch.Tensor]:
        found: Mapping[str, torch.Tensor] = self._model.state_dict()
        return found

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._model.load_state_dict(weights)

    def export(self, folder: Path) -> None:
        export_model(self._model, self._tokenizer, folder, self._config)

    def facts(self) -> dict[str, Any]:
        return {
            "config": self._config,
            "parameters": sum(parameter.numel() for parameter in self._model.parameters()),
            "vocabulary": len(self._tokenizer),
        }


def _tokenizer(
    config: TrainingConfig,
    pairs: PairSource,
    work: Path,
    added_tokens: Sequence[str],
    start_from: Path | None,
    fresh: bool,
) -> PreTrainedTokenizerFast:
    """Learned once per run and kept with the checkpoint: resuming must not learn another one."""
    folder = work / "tokenizer"
    if not fresh:
        return PreTrainedTokenizerFast.from_pretrained(folder)
    if start_from is not None:
        return _known_tokenizer(start_from, added_tokens, folder)
    settings = config.tokenizer
    sample = islice(pairs(config.seed, 0), settings.sample_pairs)
    tokenizer = train_tokenizer((text for pair in sample for text in pair), added_tokens, settings)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _known_tokenizer(source: Path, added_tokens: Sequence[str], folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of an earlier run, kept in this run's folder; tokens that it lacks come at its end."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(source)
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([added_token(token) for token in dict.fromkeys(added_tokens) if token not in known])
    tokenizer.save_pretrained(folder)
    return tokenizer


def _optimizers(model: MistralForCausalLM, config: OptimizationConfig) -> list[torch.optim.Optimizer]:
    """Weight decay for matrices; norms and the (tied) embeddings go without.

    Muon is that of Jordan et al. 2024 (momentum, orthogonalized), for the matrices inside the blocks alone.
    """
    embedding = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim >= 2 and p is not embedding]
    others = [p for p in model.parameters() if p.ndim < 2 or p is embedding]
    adam: list[dict[str, Any]] = [{"params": others, "weight_decay": 0.0}]
    found: list[torch.optim.Optimizer] = []
    if config.optimizer == "muon":
        rate, decay, momentum = config.matrix_learning_rate, config.weight_decay, config.momentum
        found.append(torch.optim.Muon(matrices, lr=rate, weight_decay=decay, momentum=momentum))
    else:
        adam.append({"params": matrices, "weight_decay": config.weight_decay})
    betas = (config.beta1, config.beta2)
    return [*found, torch.optim.AdamW(adam, lr=config.learning_rate, betas=betas, fused=True)]
