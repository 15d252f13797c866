"""Random models are whole, sharded and reproducible."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from deployments.generator.random_weights import SHAPES, main, make_random_model


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def test_the_command_writes_a_whole_model(tmp_path: Path) -> None:
    main([str(tmp_path / "model"), "--size", "tiny", "--seed", "3"])
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    found = tensors(tmp_path / "model")
    assert index["weight_map"].keys() == found.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in found.values())
    assert len(set(index["weight_map"].values())) > 1
    assert AutoConfig.from_pretrained(tmp_path / "model").sliding_window is None


def test_a_seed_fixes_the_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_random_model(tmp_path / name, seed=seed)
    first, second, other = (tensors(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_the_full_size_is_that_of_mistral_7b() -> None:
    shape = SHAPES["7b"].model
    head = shape.hidden_size // shape.attention_heads
    attention = shape.hidden_size * head * (2 * shape.attention_heads + 2 * shape.key_value_heads)
    layer = attention + 3 * shape.hidden_size * shape.intermediate_size
    parameters = shape.layers * layer + 2 * SHAPES["7b"].vocab_size * shape.hidden_size
    assert round(parameters / 1e9, 2) == 7.25
