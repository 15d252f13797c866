"""Small random Mistral models on disk, and the requests that tests put to them."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from deployments.generator.model_profile import ModelProfile
from deployments.generator.random_weights import make_random_model
from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import GenerationRequest, SamplingParams

MakeEngine = Callable[..., TransformersEngine]


def make_tiny_mistral(folder: Path, chat: bool = True, seed: int = 0) -> Path:
    """A few hundred kilobytes of weights in three shards, with a tokenizer."""
    make_random_model(folder, "tiny", chat=chat, seed=seed)
    return folder


@cache
def tiny_mistral_folder(chat: bool = True) -> Path:
    """One such model for the whole test run; tests that change files make their own."""
    root = Path(tempfile.mkdtemp(prefix="plumbline-tiny-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return make_tiny_mistral(root / "model", chat=chat)


def tiny_profile(folder: Path | None = None, **changes: Any) -> ModelProfile:
    values: dict[str, Any] = {
        "name": "tiny",
        "folder": folder or tiny_mistral_folder(),
        "prompt_profile": "house",
        "prompt_format": "raw",
        "quantization": "none",
        "device": "cpu",
        "context_tokens": 512,
    }
    return ModelProfile.model_validate(values | changes)


def make_request(text: str | None = "some text", request_id: str = "r", **changes: Any) -> GenerationRequest:
    """A greedy request for 12 tokens; ``changes`` may name fields of the request or of its parameters."""
    fields = {name: changes.pop(name) for name in ("turns", "timeout_s") if name in changes}
    params = SamplingParams.model_validate({"temperature": 0.0, "max_new_tokens": 12} | changes)
    return GenerationRequest(request_id=request_id, text=text, params=params, **fields)


@cache
def reference_model(folder: Path) -> PreTrainedModel:
    """The same weights without the engine."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def reference_greedy(folder: Path, prompt: list[int], max_new_tokens: int) -> list[int]:
    """What `generate` of transformers makes of a prompt."""
    output = reference_model(folder).generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=max_new_tokens, use_cache=True
    )
    return output[0, len(prompt) :].tolist()
