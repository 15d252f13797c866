"""Checks before a model is loaded. Each failure is one sentence that says what is wrong and what to do."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from deployments.generator.checksums import check_checksums
from deployments.generator.memory import free_bytes
from deployments.generator.model_profile import ADAPTER_FILE, GIB, ModelProfile
from serve_app.errors import ConfigurationError, ModelUnavailable

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")
INDEX_FILE = "model.safetensors.index.json"
WEIGHTS_FILE = "model.safetensors"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"


def choose_device(profile: ModelProfile) -> torch.device:
    """The device that the profile asks for.

    Raises:
        ModelUnavailable: the profile requires CUDA and there is none.
    """
    if profile.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if profile.device == "auto":
        return torch.device("cpu")
    built = "this torch build has no CUDA" if torch.version.cuda is None else "no CUDA device is visible"
    raise ModelUnavailable(
        f"The model {profile.name} needs a GPU but {built}; use a GPU machine or choose the house model."
    )


def check_memory(profile: ModelProfile, device: torch.device) -> None:
    """Raises ModelUnavailable when less memory is free than the profile demands."""
    free = free_bytes(device)
    if free < profile.min_free_memory_gib * GIB:
        place = "GPU memory" if device.type == "cuda" else "memory"
        raise ModelUnavailable(
            f"The model {profile.name} needs {profile.min_free_memory_gib:g} GiB of free {place} but only "
            f"{free / GIB:.1f} GiB is free; stop other programs that use it or choose a smaller model."
        )


def check_folder(profile: ModelProfile) -> None:
    """A local folder holds a causal language model, its tokenizer and whole weight files, as recorded.

    Raises:
        ModelUnavailable: something is missing or unreadable.
        ConfigurationError: the folder holds another kind of model.
    """
    folder = profile.folder
    if folder is None:
        return
    if not folder.is_dir():
        raise ModelUnavailable(
            f"The model folder {folder} does not exist; correct it or train a model (`plumbline train`)."
        )
    _check_architecture(folder)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelUnavailable(
            f"The model folder {folder} has no {' or '.join(TOKENIZER_FILES)}; copy the tokenizer there."
        )
    for file in _weight_files(folder):
        _check_weights(file)
    check_checksums(folder)


def check_adapter(folder: Path) -> None:
    """Raises ModelUnavailable unless the folder holds a whole LoRA adapter."""
    if not (folder / ADAPTER_FILE).is_file():
        raise ModelUnavailable(f"The folder {folder} holds no adapter: it has no {ADAPTER_FILE}.")
    _check_weights(folder / ADAPTER_WEIGHTS_FILE)


def _check_architecture(folder: Path) -> None:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        architectures = list(config["architectures"])
    except OSError as error:
        raise ModelUnavailable(
            f"{path} cannot be read ({error.strerror}); the folder is not a complete model."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"{path} is not a model configuration; download or train the model again."
        ) from error
    if not any(str(name).endswith("ForCausalLM") for name in architectures):
        raise ConfigurationError(
            f"The model in {folder} is a {', '.join(map(str, architectures))}, which cannot write text; "
            "choose a causal language model."
        )


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files that the model consists of."""
    index = folder / INDEX_FILE
    if not index.is_file():
        return [folder / WEIGHTS_FILE]
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelUnavailable(f"{index} is damaged; download or train the model again.") from error
    return [folder / str(name) for name in sorted(names)]


def _check_weights(file: Path) -> None:
    """Read the header: it lists every tensor, and its offsets must end where the file ends."""
    if not file.is_file():
        raise ModelUnavailable(f"The weight file {file} is missing; download or train the model again.")
    try:
        with safe_open(file, framework="pt") as tensors:
            tensors.keys()
    except (SafetensorError, OSError) as error:
        raise ModelUnavailable(
            f"The weight file {file} is damaged or incomplete; download or train the model again.",
            detail=str(error),
        ) from error
