"""A run learns, survives interruption without a trace, and leaves a model that the engine serves."""

import itertools
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import MakeEngine, make_request, tiny_profile

from deployments.generator.training.checkpoint import CheckpointMismatch
from deployments.generator.training.config import OptimizationConfig, TrainingConfig
from deployments.generator.training.run_record import TrainingRun
from deployments.generator.training.trainer import Progress, learning_rate_part, train, whole_step

WORDS = ("amount", "budget", "cost", "date")
TOKENS = tuple(f"<{word}>" for word in WORDS)


def reversed_words(seed: int, start: int) -> Iterator[tuple[str, str]]:
    """Three words in a sentence; the completion has them backwards, one token each."""
    for number in itertools.count(start):
        words = random.Random(f"{seed}/{number}").choices(WORDS, k=3)
        yield f"say {' '.join(words)}", "".join(f"<{word}>" for word in reversed(words))


def config(**changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "shape": {"hidden_size": 64, "layers": 2, "intermediate_size": 128},
        "tokenizer": {"vocab_size": 320, "sample_pairs": 50},
        "optimization": {
            "max_steps": 40,
            "time_budget_s": None,
            "learning_rate": 4e-3,
            "warmup_steps": 10,
        },
        "batch": {"sequences": 16, "pool_batches": 4, "workers": 0},
        "progress_every_s": 1e-6,
        "precision": "float32",
        "device": "cpu",
    }
    return TrainingConfig.model_validate(values | changes)


def run(folder: Path, settings: TrainingConfig, **options: Any) -> TrainingRun:
    return train(settings, reversed_words, folder, added_tokens=TOKENS, **options)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def equal(left: Path, right: Path) -> bool:
    mine, theirs = weights(left), weights(right)
    return all(torch.equal(mine[name], theirs[name]) for name in mine) and mine.keys() == theirs.keys()


async def test_the_engine_serves_what_was_learned(tmp_path: Path, make_engine: MakeEngine) -> None:
    settings = config(optimization={"max_steps": 300, "time_budget_s": None, "learning_rate": 4e-3})
    record = run(tmp_path / "model", settings)
    assert record.curve[-1].loss < 0.05 < record.curve[0].loss
    engine = make_engine(tiny_profile(tmp_path / "model"))
    for prompt, completion in itertools.islice(reversed_words(999, 0), 20):
        generation = await engine.submit(make_request(prompt))
        assert generation.texts[0].text == completion
        assert generation.texts[0].finish_reason == "stop"


def test_the_same_run_twice_gives_the_same_weights(tmp_path: Path) -> None:
    first, second = (run(tmp_path / name, config()) for name in ("a", "b"))
    assert equal(tmp_path / "a", tmp_path / "b")
    assert first.data_digest == second.data_digest
    other = run(tmp_path / "c", config(seed=2))
    assert not equal(tmp_path / "a", tmp_path / "c")
    assert other.data_digest != first.data_digest


@pytest.mark.parametrize("at_step", [5, 12, 17])
def test_an_interrupted_run_ends_the_same(tmp_path: Path, at_step: int) -> None:
    """Inside a pool, at its end, and after the last checkpoint's pool."""

    def interrupt(progress: Progress) -> None:
        if progress.step == at_step:
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole", config())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", config(), progress=interrupt)
    assert not (tmp_path / "cut").exists()
    resumed = run(tmp_path / "cut", config())
    assert equal(tmp_path / "whole", tmp_path / "cut")
    assert (resumed.steps, resumed.sequences, resumed.data_digest) == (
        whole.steps,
        whole.sequences,
        whole.data_digest,
    )
    assert [point.step for point in resumed.curve] == [point.step for point in whole.curve]


def interrupted(folder: Path) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, config(), progress=interrupt)


def test_ctrl_c_waits_for_the_end_of_a_step() -> None:
    # Where the tests run in the background, Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    def interrupted_step() -> None:
        with whole_step():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the step")

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted_step()
        assert done
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path / "model")
    with pytest.raises(CheckpointMismatch, match="other settings \\(seed\\)"):
        run(tmp_path / "model", config(seed=2))
    run(tmp_path / "fresh", config(seed=2))
    run(tmp_path / "model", config(seed=2), resume=False)
    assert equal(tmp_path / "model", tmp_path / "fresh")


def test_the_length_of_a_run_may_change(tmp_path: Path) -> None:
    interrupted(tmp_path / "model")
    settings = config(optimization=config().optimization.model_dump() | {"max_steps": 20})
    assert run(tmp_path / "model", settings).steps == 20


def test_evaluation_sees_a_whole_model_and_changes_nothing(tmp_path: Path) -> None:
    seen: list[int] = []

    def evaluate(folder: Path, step: int) -> dict[str, float]:
        assert weights(folder)
        torch.manual_seed(0)
        torch.rand(3)
        seen.append(step)
        return {"accuracy": step / 40}

    settings = config(evaluate_every_s=1e-6)
    lines: list[str] = []
    record = run(tmp_path / "a", settings, evaluate=evaluate, progress=lambda p: lines.append(p.line()))
    run(tmp_path / "b", settings)
    assert equal(tmp_path / "a", tmp_path / "b")
    assert seen == list(range(1, 41))
    assert record.final_scores == {"accuracy": 1.0}
    assert any("accuracy 0.5" in line for line in lines)
    assert "100.0%  step 40" in lines[-1]


def test_the_folder_tells_how_it_was_made(tmp_path: Path) -> None:
    record = run(tmp_path / "model", config(name="Reverser"), description="Says words backwards.")
    assert TrainingRun.model_validate_json((tmp_path / "model" / "training_run.json").read_text()) == record
    card = (tmp_path / "model" / "README.md").read_text()
    assert card.startswith("# Reverser\n\nSays words backwards.")
    assert record.data_digest in card
    assert f"{record.parameters:,}" in card
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "float16"
    assert not (tmp_path / "model.training" / "checkpoint.pt").exists()


def test_a_run_can_start_from_an_earlier_model(tmp_path: Path) -> None:
    first = run(tmp_path / "first", config())
    second = run(tmp_path / "second", config(seed=3), start_from=tmp_path / "first")
    assert second.curve[0].loss < first.curve[0].loss / 2
    assert second.earlier is not None
    assert second.earlier.sequences == first.sequences
    assert "began with" in (tmp_path / "second" / "README.md").read_text()
    grown = train(
        config(), reversed_words, tmp_path / "c", added_tokens=["<new>"], start_from=tmp_path / "first"
    )
    assert grown.vocabulary == first.vocabulary + 1
    wide = config(shape={"hidden_size": 128, "layers": 2, "intermediate_size": 128})
    with pytest.raises(ValueError, match="of another shape"):
        run(tmp_path / "d", wide, start_from=tmp_path / "first")


def test_a_new_model_takes_the_old_one_s_place(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "leftover").write_text("x")
    run(tmp_path / "model", config())
    assert not (tmp_path / "model" / "leftover").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.training"]


def test_a_time_budget_ends_a_run(tmp_path: Path) -> None:
    record = run(tmp_path / "m", config(optimization={"max_steps": None, "time_budget_s": 0.2}))
    assert record.training_s >= 0.2
    assert record.steps > 0


def test_bfloat16_learns_too(tmp_path: Path) -> None:
    record = run(tmp_path / "model", config(precision="bfloat16"))
    assert record.curve[-1].loss < record.curve[0].loss / 2


def test_the_learning_rate_rises_and_falls() -> None:
    settings = OptimizationConfig(warmup_steps=10, final_learning_rate_fraction=0.1)
    rates = [learning_rate_part(settings, step, step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates.index(max(rates)) == 9
    assert rates[-1] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape": {"hidden_size": 100, "attention_heads": 3}}, "multiple of attention_heads, got 100 and 3"),
        ({"shape": {"attention_heads": 4, "key_value_heads": 3}}, "multiple of key_value_heads, got 4 and 3"),
        ({"optimization": {"max_steps": None, "time_budget_s": None}}, "one of max_steps and time_budget_s"),
        ({"epochs": 3}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TrainingConfig.model_validate(changes)


def test_the_shipped_settings_load() -> None:
    path = Path(__file__).parents[3] / "configs" / "models" / "house" / "training.yaml"
    assert TrainingConfig.load(path).shape.hidden_size % 64 == 0
