"""`gpu-check`, `download-model` and `train` in this process, with small models and a hub of our own."""

from pathlib import Path

import pytest
import torch
import yaml
from tiny_models import tiny_profile

from serve_app import training
from serve_app.evaluation.items import EvaluationFileError
from serve_app.training import TrainingRequest
from tests.cli_support import Cli, Server

MODEL = "some/model"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_profile().model_dump(mode="json")))
    return path


def test_a_machine_that_can_run_the_model_says_so(cli: Cli, profile: Path) -> None:
    checked = cli("gpu-check", "--model", str(profile))
    assert checked.code == 0, checked.err
    assert f"torch {torch.__version__}" in checked.out
    assert "tiny would run on cpu" in checked.out
    assert "GiB needed" in checked.out


def test_too_little_memory_is_told(cli: Cli, profile: Path) -> None:
    values = yaml.safe_load(profile.read_text())
    profile.write_text(yaml.safe_dump(values | {"min_free_memory_gib": 100_000}))
    checked = cli("gpu-check", "--model", str(profile))
    assert checked.code != 0
    assert "100000" in checked.error_line.replace(",", "")


def test_a_folder_without_a_model_is_told(cli: Cli, profile: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(profile.read_text())
    profile.write_text(yaml.safe_dump(values | {"folder": str(tmp_path / "empty")}))
    checked = cli("gpu-check", "--model", str(profile))
    assert checked.code != 0
    assert "empty" in checked.error_line


def test_quantization_without_a_gpu_is_told(cli: Cli, profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    values = yaml.safe_load(profile.read_text())
    profile.write_text(yaml.safe_dump(values | {"quantization": "8bit", "device": "cuda"}))
    checked = cli("gpu-check", "--model", str(profile))
    assert checked.code != 0
    assert "CUDA" in checked.error_line


@pytest.fixture
def hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A hub on this machine that refuses everything with the status a test sets."""
    for module in ("constants", "_snapshot_download", "hf_api", "file_download"):
        monkeypatch.setattr(f"huggingface_hub.{module}.ENDPOINT", server.url, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", server.url)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.body = {"error": "no"}
    return server


def test_a_hub_that_fails_is_told(cli: Cli, hub: Server, tmp_path: Path) -> None:
    hub.status = 500
    ended = cli("download-model", MODEL, "--to", str(tmp_path / "model"))
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert f"{MODEL} could not be downloaded from {hub.url}" in last
    assert any(MODEL in path for path, _ in hub.asked)


def test_train_passes_on_what_was_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[TrainingRequest] = []

    def remember(request: TrainingRequest, *_: object) -> Path:
        asked.append(request)
        return tmp_path / "made"

    monkeypatch.setattr(training, "train_house_model", remember)
    ended = cli("train", "--minutes", "2", "--steps", "7", "--out", str(tmp_path), "--fresh")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'made'}\n")
    (request,) = asked
    assert (request.minutes, request.steps, request.out, request.resume) == (2.0, 7, tmp_path, False)


def test_a_faulty_evaluation_file_ends_training_with_its_fault(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> Path:
        raise EvaluationFileError("questions.jsonl, line 3: no question")

    monkeypatch.setattr(training, "train_house_model", refuse)
    ended = cli("train", "--out", str(tmp_path))
    assert ended.code == 2
    assert "line 3" in ended.error_line


def test_a_remote_model_needs_no_gpu(cli: Cli) -> None:
    ended = cli("gpu-check", "--model", "remote")
    assert ended.code == 0
    assert ended.out == "remote is asked at http://127.0.0.1:8001/v1 and needs no GPU here\n"
