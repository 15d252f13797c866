"""Loading a causal language model and its tokenizer, after the checks of `checks`."""

import logging
import time
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from deployments.generator.adapters import with_adapter
from deployments.generator.checks import check_folder, check_memory, choose_device
from deployments.generator.model_profile import ModelProfile
from serve_app.errors import ConfigurationError, ModelUnavailable

logger = logging.getLogger("plumbline.generator")

# Says for every layer and every call that int8 products are computed in float16.
logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in evaluation mode on its device."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    backend: Tokenizer
    device: torch.device
    dtype: torch.dtype
    context_tokens: int
    end_tokens: frozenset[int]
    pad_id: int
    load_s: float


def load_model(profile: ModelProfile) -> LoadedModel:
    """Check, then load.

    Raises:
        ModelUnavailable: no GPU, too little memory, or the model cannot be read.
        ConfigurationError: not a causal language model, or a tokenizer or an adapter that does not fit.
    """
    started = time.perf_counter()
    device = choose_device(profile)
    check_memory(profile, device)
    check_folder(profile)
    transformers_logging.disable_progress_bar()  # a bar is noise in a replica's log
    dtype = _dtype(profile, device)
    common = {"revision": profile.revision, "local_files_only": profile.is_local, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(profile.source, **common)
        model = AutoModelForCausalLM.from_pretrained(
            profile.source,
            dtype=dtype,
            device_map={"": str(device)},
            attn_implementation="sdpa",
            use_safetensors=True,
            quantization_config=_quantization(profile, dtype),
            **common,
        )
    except torch.cuda.OutOfMemoryError as error:
        raise ModelUnavailable(
            f"GPU memory ran out while {profile.name} was loaded; choose 8bit or 4bit quantization.",
            detail=str(error),
        ) from error
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelUnavailable(
            f"The model {profile.name} could not be loaded from {profile.source}; "
            "check its name, the network or the folder.",
            detail=f"{type(error).__name__}: {error}",
        ) from error
    model.eval()
    if profile.adapter is not None:
        model = with_adapter(model, profile.adapter, merge=profile.quantization == "none")
    logger.info("loaded %s on %s in %.1f s", profile.name, device, time.perf_counter() - started)
    backend = _backend(profile, tokenizer)
    end_tokens = _end_tokens(model, tokenizer)
    return LoadedModel(
        name=profile.name,
        model=model,
        tokenizer=tokenizer,
        backend=backend,
        device=device,
        dtype=dtype,
        context_tokens=_context_tokens(profile, model),
        end_tokens=end_tokens,
        pad_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(end_tokens, default=0),
        load_s=time.perf_counter() - started,
    )


def _dtype(profile: ModelProfile, device: torch.device) -> torch.dtype:
    """LLM.int8 computes in float16 in any case, so float16 spares it casts on a GPU."""
    if profile.dtype != "auto":
        chosen: torch.dtype = getattr(torch, profile.dtype)
        return chosen
    if device.type == "cpu":
        return torch.float32
    return torch.float16 if profile.quantization == "8bit" else torch.bfloat16


def _quantization(profile: ModelProfile, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if profile.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if profile.quantization == "4bit":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return None


def _backend(profile: ModelProfile, tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The Rust tokenizer, used directly: it keeps no state between calls, so any thread may encode."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ConfigurationError(
            f"The {type(tokenizer).__name__} of {profile.name} has no tokenizer.json; convert it first."
        )
    if profile.prompt_format == "chat" and not tokenizer.chat_template:
        raise ConfigurationError(
            f"The model {profile.name} has no chat template; "
            "set prompt_format to raw or choose an instruction model."
        )
    backend.no_padding()
    backend.no_truncation()
    return backend


def _context_tokens(profile: ModelProfile, model: PreTrainedModel) -> int:
    """The profile's limit within what the weights allow. A sliding window is never left: it needs no mask."""
    limits = (
        profile.context_tokens,
        getattr(model.config, "max_position_embeddings", None),
        getattr(model.config, "sliding_window", None),
    )
    return min(limit for limit in limits if limit)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends an output, by the model's generation settings and by the tokenizer."""
    named = model.generation_config.eos_token_id
    ids = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*ids, tokenizer.eos_token_id) if token is not None)
