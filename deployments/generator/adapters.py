"""LoRA adapters (Hu et al. 2021): put beside a base model for serving, or merged into full weights.

`peft` is an optional dependency (the extra ``train``), imported only where an adapter is used.
"""

import hashlib
from pathlib import Path

import torch
from transformers import PreTrainedModel

from deployments.generator.checks import check_adapter
from deployments.generator.training.run_record import BaseModelRecord, read_record
from serve_app.errors import ConfigurationError

PEFT_MISSING = "LoRA adapters need peft; install it with `pip install 'plumbline[train]'`."


def base_digest(model: PreTrainedModel) -> str:
    """Tells base models of one shape apart, whatever they are called and however they are quantized.

    SHA-256 over the last norm's weights in bfloat16: quantization leaves norms alone, and weights published
    in bfloat16 survive being loaded in any wider type.
    """
    norm = model.get_submodule("model.norm").weight.detach().to("cpu", torch.bfloat16)
    return hashlib.sha256(norm.view(torch.int16).numpy().tobytes()).hexdigest()


def with_adapter(model: PreTrainedModel, folder: Path, merge: bool) -> PreTrainedModel:
    """The model with the adapter of ``folder``; ``merge`` adds it to the weights, which are then changed.

    A quantized model keeps its adapter beside its weights: merged into them it would be rounded away in part.

    Raises:
        ConfigurationError: peft is missing, or the adapter belongs to another model.
        ModelUnavailable: the folder is incomplete or damaged.
    """
    check_adapter(folder)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ConfigurationError(PEFT_MISSING) from error
    record = read_record(folder)
    if record is not None and record.base is not None and record.base.digest != base_digest(model):
        raise _of_another_model(folder, record.base)
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
    except (ValueError, RuntimeError, KeyError) as error:
        raise ConfigurationError(
            f"The adapter in {folder} does not fit the model; load the model that it was trained for.",
            detail=f"{type(error).__name__}: {error}",
        ) from error
    found: PreTrainedModel = adapted.merge_and_unload(safe_merge=True) if merge else adapted.get_base_model()
    return found.eval()


def _of_another_model(folder: Path, base: BaseModelRecord) -> ConfigurationError:
    return ConfigurationError(
        f"The adapter in {folder} was trained for {base.model}; set MISTRAL_MODEL to that model or a copy "
        "of it."
    )
