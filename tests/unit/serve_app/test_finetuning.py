"""From synthesized questions to a served adapter, with a tiny model in Mistral's place."""

import json
from pathlib import Path

import pytest
import yaml
from tiny_models import make_tiny_mistral

from deployments.executor.embedded import EmbeddedDatabase
from deployments.generator.loading import load_model
from deployments.generator.training.config import AdapterTrainingConfig
from deployments.prompt_builder.instruction.wording import CANNOT_ANSWER, PARTS, heading
from serve_app import finetuning
from serve_app.errors import ConfigurationError, ModelUnavailable
from serve_app.finetuning import AdapterRequest, export_data, merge, train_lora
from serve_app.plan import make_plan
from serve_app.settings import load_settings

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "configs" / "models" / "mistral-7b" / "lora.yaml"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The production profile with a tiny model, whose byte-like tokenizer needs room."""
    make_tiny_mistral(tmp_path / "model")
    shipped = yaml.safe_load((ROOT / "configs" / "models" / "mistral-7b-instruct.yaml").read_text())
    del shipped["model_id"]
    path = tmp_path / "tiny.yaml"
    changes = {"folder": "model", "device": "cpu", "context_tokens": 16_384, "min_free_memory_gib": 0}
    path.write_text(yaml.safe_dump(shipped | changes))
    return path


@pytest.fixture
def config(tmp_path: Path, profile: Path) -> Path:
    shipped = yaml.safe_load(SHIPPED.read_text())
    shipped |= {"base": str(profile), "device": "cpu", "held_out_one_in": 3, "held_out_pairs": 2}
    shipped |= {"accumulation": 2}
    shipped["optimization"] |= {"max_steps": 2}
    shipped["batch"] |= {"sequences": 2, "pool_batches": 2, "max_sequence_tokens": 16_384}
    path = tmp_path / "lora.yaml"
    path.write_text(yaml.safe_dump(shipped))
    return path


@pytest.mark.postgres
def test_data_adapter_and_merged_weights(
    config: Path,
    profile: Path,
    tmp_path: Path,
    sample_database: EmbeddedDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finetuning, "ASKED_DAYS_BEFORE", (0,))
    settings = load_settings({"DATABASE_URL": sample_database.dsn, "MISTRAL_MAX_CONTEXT_TOKENS": "6000"})
    said: list[str] = []
    file = tmp_path / "data.jsonl"
    assert export_data(file, 40, 1, config, settings, said.append) <= 2
    assert "40 of 40 pairs" in said[-1]
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({(row["instruction"], row["input"]) for row in rows}) == 40
    for row in rows:
        assert set(row) == {"instruction", "input", "output"}
        parts = [line[3:] for text in row.values() for line in text.split("\n") if line.startswith("## ")]
        assert tuple(parts) == PARTS
        assert row["instruction"].startswith(heading("Instructions"))
        assert row["output"].startswith(("SELECT", "WITH", CANNOT_ANSWER))
        assert "\n" not in row["output"]

    evaluation = tmp_path / "one.jsonl"
    evaluation.write_text((ROOT / "tests/data/eval/single.jsonl").read_text().splitlines()[0])
    request = AdapterRequest(file, config, tmp_path / "adapter", evaluation=(evaluation,))
    folder = train_lora(request, settings, said.append)
    record = json.loads((folder / "training_run.json").read_text())
    assert record["steps"] == 2
    assert record["sequences"] == 8
    assert set(record["evaluations"][-1]["scores"]) == {"held-out answers exact, %", "one right, %"}
    assert record["base"]["quantization"] == "8bit"

    merged = merge(folder, config, tmp_path / "merged", settings)
    for path, adapter in ((folder, folder), (merged, None)):
        given = {"USE_FINETUNED_MODEL": "true", "FINETUNED_MODEL_PATH": str(path)}
        plan = make_plan(load_settings({"PLUMBLINE_MODEL_PROFILE": str(profile)} | given))
        assert plan.profile.adapter == adapter
        assert load_model(plan.profile).model.num_parameters() > 0


def test_the_shipped_config_is_what_the_readme_says() -> None:
    config = AdapterTrainingConfig.load(SHIPPED)
    assert (config.adapter.rank, config.adapter.alpha, config.quantization) == (16, 32, "8bit")
    assert config.adapter.target_modules == ("q_proj", "k_proj", "v_proj", "o_proj")
    assert config.gradient_checkpointing
    assert config.precision == "bfloat16"
    assert config.batch.prompt_loss_weight == 0
    keys = set(yaml.safe_load(SHIPPED.read_text()))
    assert keys == set(AdapterTrainingConfig.model_fields)


def test_without_a_gpu_the_shipped_config_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps({"instruction": str(i), "output": "x"}) for i in range(300)))
    request = AdapterRequest(data, out=tmp_path / "adapter")
    with pytest.raises(ModelUnavailable, match="needs a GPU"):
        train_lora(request, load_settings({}), lambda _: None)


def test_the_house_model_gets_no_adapter(config: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(config.read_text()) | {"base": "house"}
    config.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigurationError, match="not of an instruction model"):
        train_lora(AdapterRequest(tmp_path / "d", config), load_settings({}), lambda _: None)
