"""A Mistral with random weights, to exercise loading, quantization and batching without a download.

    python -m deployments.generator.random_weights FOLDER --size 7b

The full size has the shape of Mistral-7B-Instruct-v0.3 and takes 14.5 GB on disk, but one shard in
memory.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, MistralConfig, MistralForCausalLM

from deployments.generator.checks import INDEX_FILE
from deployments.generator.training.config import ModelShape, TokenizerConfig
from deployments.generator.training.export import READABLE, mistral_config
from deployments.generator.training.tokenizer import train_tokenizer

Size = Literal["tiny", "7b"]

CHAT_CONTROL_TOKENS = ("[INST]", "[/INST]")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ '[INST]' + message['content'] + '[/INST]' }}{% endif %}"
    "{% endfor %}"
)


@dataclass(frozen=True, slots=True)
class RandomShape:
    """Size, and the spread of the weights: wide enough in the small one that its outputs vary."""

    model: ModelShape
    vocab_size: int
    dtype: torch.dtype
    deviation: float
    shard_bytes: int


SHAPES: dict[Size, RandomShape] = {
    "tiny": RandomShape(
        ModelShape(
            hidden_size=64,
            intermediate_size=128,
            layers=2,
            attention_heads=4,
            key_value_heads=2,
            max_positions=16_384,
        ),
        vocab_size=400,
        dtype=torch.float32,
        deviation=0.15,
        shard_bytes=200_000,
    ),
    "7b": RandomShape(
        ModelShape(
            hidden_size=4096,
            intermediate_size=14_336,
            layers=32,
            attention_heads=32,
            key_value_heads=8,
            max_positions=32_768,
        ),
        vocab_size=32_768,
        dtype=torch.bfloat16,
        deviation=0.02,
        shard_bytes=4 * 1024**3,
    ),
}


def make_random_model(folder: Path, size: Size = "tiny", chat: bool = True, seed: int = 0) -> None:
    """Write config, sharded safetensors and a tokenizer, with a chat template if ``chat``, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = SHAPES[size]
    tokenizer = train_tokenizer(
        [__doc__], (), TokenizerConfig(vocab_size=380), control_tokens=CHAT_CONTROL_TOKENS
    )
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    config = mistral_config(
        shape.model,
        tokenizer,
        vocab_size=shape.vocab_size,
        tie_word_embeddings=False,
        architectures=["MistralForCausalLM"],
        dtype=shape.dtype,
    )
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)
    _write_shards(folder, _random_tensors(config, shape, seed), shape.shard_bytes)


def _random_tensors(
    config: MistralConfig, shape: RandomShape, seed: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight by name, made when it is asked for."""
    with torch.device("meta"):
        weights = MistralForCausalLM(config).state_dict()
    random = torch.Generator().manual_seed(seed)
    for name, weight in weights.items():
        if name.endswith("norm.weight"):
            yield name, torch.ones(weight.shape, dtype=shape.dtype)
        else:
            values = torch.empty(weight.shape, dtype=shape.dtype)
            yield name, values.normal_(0.0, shape.deviation, generator=random)


def _write_shards(folder: Path, tensors: Iterator[tuple[str, torch.Tensor]], shard_bytes: int) -> None:
    """Files of at most ``shard_bytes`` (or one tensor) and the index that names them."""
    shard: dict[str, torch.Tensor] = {}
    files: dict[str, str] = {}
    size = total = number = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > shard_bytes:
            _save(folder, number, shard)
            shard, size, number = {}, 0, number + 1
        shard[name] = tensor
        files[name] = _shard_name(number)
        size += tensor.nbytes
        total += tensor.nbytes
    _save(folder, number, shard)
    index = {"metadata": {"total_size": total}, "weight_map": files}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=1), encoding="utf-8")


def _save(folder: Path, number: int, shard: dict[str, torch.Tensor]) -> None:
    path = folder / _shard_name(number)
    save_file(shard, path, metadata={"format": "pt"})
    path.chmod(READABLE)


def _shard_name(number: int) -> str:
    return f"model-{number + 1:05d}.safetensors"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description="Write a Mistral with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=sorted(SHAPES), default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    make_random_model(options.folder, options.size, seed=options.seed)


if __name__ == "__main__":
    main()
