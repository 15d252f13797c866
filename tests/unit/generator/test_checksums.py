"""A model's files are those that were recorded; the repository's house model among them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import make_tiny_mistral, tiny_profile

from deployments.generator.checks import check_folder
from deployments.generator.checksums import (
    CHECKSUMS_FILE,
    check_checksums,
    renew_checksums,
    write_checksums,
)
from serve_app.errors import ModelUnavailable
from serve_app.paths import PROJECT_ROOT

HOUSE = PROJECT_ROOT / "configs" / "models" / "house" / "weights"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mistral(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    copy = shutil.copytree(model, tmp_path / "model")
    (copy / "calibration.json").write_text("{}")
    write_checksums(copy)
    return copy


def flip_a_bit(file: Path) -> None:
    """In the middle: of weights, where no header says how long anything is."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_house_model_is_the_recorded_one() -> None:
    check_checksums(HOUSE)
    recorded = (HOUSE / CHECKSUMS_FILE).read_text()
    for name in ("model.safetensors", "tokenizer.json", "config.json", "calibration.json"):
        assert f"  {name}\n" in recorded


@pytest.mark.parametrize(
    "name", ["model-00002.safetensors", "tokenizer.json", "config.json", "calibration.json"]
)
@pytest.mark.parametrize("harm", [flip_a_bit, Path.unlink], ids=["changed", "missing"])
def test_a_file_that_was_changed_or_is_missing_is_named(
    folder: Path, name: str, harm: Callable[[Path], None]
) -> None:
    harm(folder / name)
    with pytest.raises(ModelUnavailable) as refusal:
        check_checksums(folder)
    assert str(folder / name) in refusal.value.message
    assert "plumbline train" in refusal.value.message
    assert "\n" not in refusal.value.message


def test_weights_with_one_bit_changed_are_not_loaded(folder: Path) -> None:
    flip_a_bit(folder / "model-00002.safetensors")
    with pytest.raises(ModelUnavailable, match=r"model-00002\.safetensors is damaged"):
        check_folder(tiny_profile(folder))


@pytest.mark.parametrize("line", ["", "nonsense", f"{'0' * 64}  ../outside", f"{'0' * 63}  config.json"])
def test_a_damaged_record_is_told(folder: Path, line: str) -> None:
    with (folder / CHECKSUMS_FILE).open("a") as record:
        record.write(f"{line}\n")
    with pytest.raises(ModelUnavailable, match=f"{CHECKSUMS_FILE} is damaged"):
        check_checksums(folder)


def test_a_folder_without_a_record_is_not_checked_and_gets_none_by_renewing(folder: Path) -> None:
    flip_a_bit(folder / "tokenizer.json")
    renew_checksums(folder)
    check_checksums(folder)
    (folder / CHECKSUMS_FILE).unlink()
    renew_checksums(folder)
    assert not (folder / CHECKSUMS_FILE).exists()
    check_checksums(folder)
