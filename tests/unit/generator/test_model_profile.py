"""Model profiles: the shipped ones load, wrong ones are refused with the key and the value."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from tiny_models import tiny_profile

from deployments.generator.model_profile import load_profile
from serve_app.errors import ConfigurationError

MODELS = Path(__file__).parents[3] / "configs" / "models"
MINIMAL = "name: m\nmodel_id: a/b\nprompt_profile: house\nprompt_format: raw\n"


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_profiles_load(path: Path) -> None:
    profile = load_profile(path)
    assert profile.name
    assert profile.sampling.max_new_tokens < profile.context_tokens


def test_the_production_profile_is_mistral_in_8_bits() -> None:
    profile = load_profile(MODELS / "mistral-7b-instruct.yaml")
    assert profile.source == "mistralai/Mistral-7B-Instruct-v0.3"
    assert (profile.quantization, profile.device, profile.min_free_memory_gib) == ("8bit", "cuda", 6)


def test_a_relative_folder_is_the_file_s_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(MINIMAL.replace("model_id: a/b", "folder: sub/weights"))
    assert load_profile(path).folder == tmp_path / "sub" / "weights"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MINIMAL + "qantization: 8bit\n", "qantization: Extra inputs"),
        (MINIMAL + "quantization: 3bit\n", "quantization: Input should be '8bit', '4bit' or 'none'"),
        (MINIMAL + "folder: x\n", "exactly one of model_id, folder, remote"),
        (MINIMAL.replace("model_id: a/b\n", ""), "exactly one of model_id, folder, remote"),
        (MINIMAL + "sampling: {temperature: 3}\n", "sampling.temperature"),
        (MINIMAL + "grammar: true\nsampling: {stop: [x]}\n", "leave out grammar or sampling.stop"),
        ("- a\n", "must be a mapping"),
        ("name: [", "not valid YAML"),
        ("", "must be a mapping"),
    ],
)
def test_wrong_profiles_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        load_profile(path)
    assert reason in refusal.value.message
    assert str(path) in refusal.value.message


def test_missing_profile(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_profile(tmp_path / "absent.yaml")


def test_override_tells_folders_from_hub_names(tmp_path: Path) -> None:
    profile = tiny_profile()
    local = profile.override(model=str(tmp_path), quantization="4bit")
    assert (local.folder, local.model_id, local.quantization) == (tmp_path, None, "4bit")
    assert local.name == tmp_path.name
    hub = profile.override(model="mistralai/Mistral-7B-v0.1")
    assert (hub.folder, hub.source, hub.name) == (
        None,
        "mistralai/Mistral-7B-v0.1",
        "mistralai/Mistral-7B-v0.1",
    )
    assert profile.override(model="./absent").is_local
    assert profile.override() == profile


def test_override_is_checked() -> None:
    with pytest.raises(ValidationError, match="quantization"):
        tiny_profile().override(quantization="2bit")  # type: ignore[arg-type]
