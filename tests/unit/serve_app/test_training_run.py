"""Training over the real pack, small enough for a test."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from deployments.executor.embedded import EmbeddedDatabase
from serve_app import training
from serve_app.errors import ConfigurationError
from serve_app.plan import make_plan
from serve_app.settings import load_settings
from serve_app.training import TrainingRequest, train_house_model

SMALL = {
    "name": "small",
    "shape": {
        "hidden_size": 32,
        "layers": 1,
        "attention_heads": 2,
        "key_value_heads": 1,
        "intermediate_size": 64,
        "max_positions": 512,
    },
    "tokenizer": {"vocab_size": 300, "sample_pairs": 50},
    "batch": {"sequences": 8, "pool_batches": 2, "workers": 0},
    "optimization": {"time_budget_s": 600.0},
    "precision": "float32",
    "device": "cpu",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


@pytest.mark.postgres
def test_a_model_is_trained_scored_and_described(
    config: Path, tmp_path: Path, sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "HELD_OUT_PAIRS", 3)
    file = tmp_path / "two.jsonl"
    file.write_text(
        "\n".join(Path("tests/data/eval/single.jsonl").read_text(encoding="utf-8").splitlines()[:2])
    )
    said: list[str] = []
    request = TrainingRequest(config=config, out=tmp_path / "model", steps=2, evaluation=(file,))
    out = train_house_model(request, load_settings({"DATABASE_URL": sample_database.dsn}), said.append)
    assert out == tmp_path / "model"
    record = json.loads((out / "training_run.json").read_text())
    assert record["steps"] == 2
    assert set(record["evaluations"][-1]["scores"]) == {"held-out targets exact, %", "two right, %"}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "plumbline train" in card
    assert "two right, %" in card
    assert said[0].endswith("2 steps")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A pack of another trade in a folder of its own."""
    return Path(shutil.copytree("tests/data/library_pack", tmp_path / "library"))


def test_a_pack_of_ones_own_keeps_its_model(
    config: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "HELD_OUT_PAIRS", 2)
    request = TrainingRequest(config=config, domain=library, steps=1)

    out = train_house_model(request, load_settings({}), lambda _: None)

    assert out == library / "model"
    assert "domain pack `library`" in (out / "README.md").read_text(encoding="utf-8")
    settings = load_settings({"PLUMBLINE_DOMAIN_PACK": str(library)})
    assert make_plan(settings).profile.folder == out
    assert "<loans.fee>" in (out / "tokenizer.json").read_text(encoding="utf-8")


def test_a_pack_with_errors_is_not_trained(config: Path, library: Path) -> None:
    text = (library / "domain.yaml").read_text(encoding="utf-8")
    (library / "domain.yaml").write_text(text.replace("label: title", "label: heading"), encoding="utf-8")

    with pytest.raises(ConfigurationError, match="there is no column"):
        train_house_model(TrainingRequest(config=config, domain=library), load_settings({}), lambda _: None)


def test_a_pack_of_ones_own_is_not_scored_on_the_sample_database(config: Path, library: Path) -> None:
    request = TrainingRequest(
        config=config, domain=library, evaluation=(Path("tests/data/clinic/questions.jsonl"),)
    )

    with pytest.raises(ConfigurationError, match="Set DATABASE_URL"):
        train_house_model(request, load_settings({}), lambda _: None)


@pytest.mark.parametrize(
    ("minutes", "steps", "expected"),
    [
        (None, None, (None, 600.0)),
        (5.0, None, (None, 300.0)),
        (None, 7, (7, None)),
        (5.0, 7, (7, 300.0)),
    ],
)
def test_what_is_asked_for_ends_the_run(
    config: Path, minutes: float | None, steps: int | None, expected: tuple[int | None, float | None]
) -> None:
    found = training._config(TrainingRequest(config=config, minutes=minutes, steps=steps)).optimization
    assert (found.max_steps, found.time_budget_s) == expected


def test_faults_of_the_config_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("seeds: 1\nthreads: 0\n")
    with pytest.raises(ConfigurationError) as caught:
        train_house_model(TrainingRequest(config=path, out=tmp_path), load_settings({}), lambda _: None)
    assert "seeds" in caught.value.message
    assert "threads" in caught.value.message
