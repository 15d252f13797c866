"""A trained model as a folder that `TransformersEngine` loads, put in place at once."""

import copy
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from deployments.generator.checksums import write_checksums
from deployments.generator.training.config import ModelShape, TrainingConfig

READABLE = 0o644  # safetensors writes files that only their owner can read; a server may run as somebody else
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def new_model(shape: ModelShape, tokenizer: PreTrainedTokenizerFast) -> MistralForCausalLM:
    """A model with random weights from torch's global generator."""
    config = mistral_config(shape, tokenizer, tie_word_embeddings=True, attn_implementation="sdpa")
    return MistralForCausalLM(config)


def mistral_config(shape: ModelShape, tokenizer: PreTrainedTokenizerFast, **more: Any) -> MistralConfig:
    """A model of this shape for this tokenizer; ``more`` are further fields of its ``config.json``."""
    dimensions = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.attention_heads,
        "num_key_value_heads": shape.key_value_heads,
        "max_position_embeddings": shape.max_positions,
    }
    special_tokens = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return MistralConfig(**(dimensions | special_tokens | {"sliding_window": None} | more))


def load_weights(model: MistralForCausalLM, folder: Path) -> None:
    """Take over the weights of a folder made by `export_model`.

    A vocabulary that has grown since keeps its new rows as they are.

    Raises:
        ValueError: they are of another shape.
    """
    saved = MistralForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    weights = saved.state_dict()
    known = saved.get_input_embeddings().weight
    if known.shape[1] == model.config.hidden_size and len(known) < model.config.vocab_size:
        grown = torch.cat([known, model.get_input_embeddings().weight[len(known) :]]).detach()
        weights |= {"model.embed_tokens.weight": grown, "lm_head.weight": grown}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the weights in {folder} are of another shape than this run's model") from error


def export_model(
    model: MistralForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, config: TrainingConfig
) -> None:
    """Write the folder beside its place and swap it in, so that a reader never sees half of one."""
    staging = folder.with_name(folder.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    transformers_logging.disable_progress_bar()  # a run prints its own progress
    saved = copy.deepcopy(model).to(device="cpu", dtype=DTYPES[config.export_dtype])
    saved.generation_config = GenerationConfig.from_model_config(saved.config)
    saved.save_pretrained(staging)
    for weights in staging.glob("*.safetensors"):
        weights.chmod(READABLE)
    tokenizer.save_pretrained(staging)
    write_checksums(staging)
    replace_folder(staging, folder)


def replace_folder(staging: Path, folder: Path) -> None:
    """Rename ``staging`` to ``folder``; what stood there before is removed afterwards."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
