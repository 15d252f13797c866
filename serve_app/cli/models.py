"""`gpu-check` and `download-model`: what a machine can run, and the weights for it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.output import EXIT_FAILED, fail, note, result

DEFAULT_MODEL = "mistralai/Mistral-7B-Instruct-v0.3"
# Safetensors and tokenizer; the hub also keeps the same weights in other formats.
PATTERNS = ("*.json", "*.safetensors", "tokenizer.model*", "*.txt")
# The hub's consolidated copy of Mistral's weights, a second time the same bytes.
IGNORED = ("consolidated*",)


def register(app: typer.Typer) -> None:
    app.command("gpu-check")(gpu_check)
    app.command(
        "download-model", epilog=f"Example: plumbline download-model {DEFAULT_MODEL} --to models/mistral-7b"
    )(download_model)


def gpu_check(
    model: Annotated[
        str | None, typer.Option(help="Model profile under configs/models/; default: the settings' own.")
    ] = None,
) -> None:
    """Whether this machine can run the model: device, free memory, model files. Exit code 0 if so, else 1."""
    import torch

    from deployments.generator.checks import check_folder, check_memory, choose_device
    from deployments.generator.memory import free_bytes
    from deployments.generator.model_profile import GIB, load_profile
    from serve_app.paths import named_config
    from serve_app.settings import load_settings

    settings = load_settings()
    path = named_config("models", model or settings.model.profile)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none is there"
        fail(f"there is no model profile {model or settings.model.profile!r}; there are: {known}")
    profile = load_profile(path).override(settings.model.name, settings.model.quantization)
    if profile.remote is not None:
        result(f"{profile.name} is asked at {profile.remote.url} and needs no GPU here")
        return
    result(f"torch {torch.__version__}, CUDA {torch.version.cuda or 'not built in'}")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        free = free_bytes(torch.device("cuda", index))
        size = f"{properties.total_memory / GIB:.1f} GiB, {free / GIB:.1f} GiB free"
        result(f"GPU {index}: {properties.name}, {size}")
    if torch.cuda.device_count() == 0:
        result("GPU: none")
    device = choose_device(profile)
    result(f"{profile.name} would run on {device.type}")
    check_memory(profile, device)
    check_folder(profile)
    free_gib = free_bytes(device) / GIB
    result(f"memory: at least {profile.min_free_memory_gib:g} GiB needed, {free_gib:.1f} GiB free")


def download_model(
    model: Annotated[str, typer.Argument(help="Model id on the Hugging Face hub.")] = DEFAULT_MODEL,
    to: Annotated[Path | None, typer.Option(help="Folder to put it in; default: the hub's cache.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download a model's weights and tokenizer. HF_TOKEN is used for models that ask for a login."""
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    note(f"Downloading {model} …")
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            local_dir=to,
            allow_patterns=list(PATTERNS),
            ignore_patterns=list(IGNORED),
        )
    except HFValidationError:
        fail(f"{model!r} is not a model id such as {DEFAULT_MODEL}")
    except GatedRepoError:
        fail(f"{model} needs a login: accept its terms on the hub, then set HF_TOKEN", EXIT_FAILED)
    except RevisionNotFoundError:
        fail(f"{model} has no revision {revision!r}")
    except RepositoryNotFoundError:
        fail(f"the hub has no model {model!r}, or HF_TOKEN must be set to see it", EXIT_FAILED)
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        fail(
            f"{model} could not be downloaded from {where} ({type(error).__name__}); check the network, "
            "or copy the model's folder here and set MISTRAL_MODEL to its path",
            EXIT_FAILED,
        )
    result(str(folder))
