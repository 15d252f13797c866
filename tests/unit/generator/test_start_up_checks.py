"""Every start-up check refuses with one sentence that names the fault and the way out."""

import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from tiny_models import make_tiny_mistral, tiny_profile

from deployments.generator.checks import check_folder, check_memory, choose_device
from deployments.generator.loading import load_model
from deployments.generator.model_profile import GIB
from serve_app.errors import ConfigurationError, ModelUnavailable, PlumblineError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_mistral(tmp_path / "model")


def shard(folder: Path) -> Path:
    return folder / "model-00002.safetensors"


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


DAMAGES: dict[str, tuple[Callable[[Path], object], type[PlumblineError], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), ModelUnavailable, "config.json cannot be read"),
    "config cut": (lambda f: truncate(f / "config.json", 40), ModelUnavailable, "not a model configuration"),
    "config a list": (
        lambda f: (f / "config.json").write_text("[]"),
        ModelUnavailable,
        "not a model configuration",
    ),
    "classifier": (
        lambda f: edit_json(f / "config.json", architectures=["BertForSequenceClassification"]),
        ConfigurationError,
        "BertForSequenceClassification, which cannot write text",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ModelUnavailable, "has no tokenizer.json"),
    "shard missing": (lambda f: shard(f).unlink(), ModelUnavailable, "model-00002.safetensors is missing"),
    "shard cut": (lambda f: truncate(shard(f), 5000), ModelUnavailable, "damaged or incomplete"),
    "shard header cut": (lambda f: truncate(shard(f), 5), ModelUnavailable, "damaged or incomplete"),
    "shard empty": (lambda f: shard(f).write_bytes(b""), ModelUnavailable, "damaged or incomplete"),
    "index cut": (
        lambda f: truncate(f / "model.safetensors.index.json", 30),
        ModelUnavailable,
        "index.json is damaged",
    ),
    "no weights": (
        lambda f: (f / "model.safetensors.index.json").unlink(),
        ModelUnavailable,
        "model.safetensors is missing",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders_are_refused(folder: Path, damage: str) -> None:
    harm, error, reason = DAMAGES[damage]
    harm(folder)
    with pytest.raises(error) as refusal:
        load_model(tiny_profile(folder))
    assert reason in refusal.value.message
    assert "\n" not in refusal.value.message
    assert refusal.value.message.endswith(".")


def test_a_whole_folder_passes(folder: Path) -> None:
    check_folder(tiny_profile(folder))
    assert load_model(tiny_profile(folder)).model.num_parameters() > 100_000


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="does not exist; correct it or train a model"):
        load_model(tiny_profile(tmp_path / "absent"))


def test_unknown_hub_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    profile = tiny_profile().override(model="nobody/no-such-model")
    with pytest.raises(
        ModelUnavailable, match=r"could not be loaded from nobody/no-such-model; check its name"
    ):
        load_model(profile)


def test_weights_of_another_shape(folder: Path) -> None:
    edit_json(folder / "config.json", hidden_size=32, head_dim=8)
    with pytest.raises(ModelUnavailable, match="could not be loaded"):
        load_model(tiny_profile(folder))


def test_chat_profile_needs_a_template(tmp_path: Path) -> None:
    folder = make_tiny_mistral(tmp_path / "model", chat=False)
    with pytest.raises(ConfigurationError, match="has no chat template"):
        load_model(tiny_profile(folder, prompt_format="chat"))


def test_too_little_memory(folder: Path) -> None:
    with pytest.raises(
        ModelUnavailable, match=r"needs 1e\+06 GiB of free memory but only [\d.]+ GiB is free"
    ):
        load_model(tiny_profile(folder, min_free_memory_gib=1e6))


@pytest.mark.parametrize(("free_gib", "refused"), [(5.9, True), (6.1, False)])
def test_the_gpu_must_have_the_profile_s_memory(
    monkeypatch: pytest.MonkeyPatch, free_gib: float, refused: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free_gib * GIB), 80 * GIB))
    profile = tiny_profile(min_free_memory_gib=6.0)
    if not refused:
        check_memory(profile, torch.device("cuda"))
        return
    with pytest.raises(ModelUnavailable, match=r"needs 6 GiB of free GPU memory but only 5\.9 GiB is free"):
        check_memory(profile, torch.device("cuda"))


def test_cuda_is_required_when_the_profile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelUnavailable, match="needs a GPU but"):
        choose_device(tiny_profile(device="cuda"))
    assert choose_device(tiny_profile(device="auto")).type == "cpu"


def test_cuda_is_taken_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert choose_device(tiny_profile(device="auto")) == torch.device("cuda", 1)
    assert choose_device(tiny_profile(device="cpu")).type == "cpu"
