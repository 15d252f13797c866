"""A very small Mistral with random weights: the real loading and serving path without a trained model."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

CHAT_TEMPLATE = "{% for m in messages %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"


def make_tiny_model(folder: Path) -> None:
    """Write config, weights and a byte-level tokenizer with a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate(["<s>", "</s>", "<pad>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(7)
    config = MistralConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=16_384,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        sliding_window=None,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)


PROFILE = """
name: tiny
folder: {folder}
prompt_profile: instruction
prompt_format: chat
quantization: none
dtype: float32
device: cpu
context_tokens: 16384
sampling: {{max_new_tokens: 8, temperature: 0.0}}
"""


def write_tiny_profile(folder: Path) -> Path:
    """The model and its profile under ``folder``; the profile's path."""
    make_tiny_model(folder / "weights")
    profile = folder / "tiny.yaml"
    profile.write_text(PROFILE.format(folder=folder / "weights"), encoding="utf-8")
    return profile
