"""A LoRA run learns, survives interruption without a trace, and its adapter is served and merged."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import MakeEngine, make_request, make_tiny_mistral, tiny_mistral_folder, tiny_profile

from deployments.generator.adapters import base_digest
from deployments.generator.loading import LoadedModel, load_model
from deployments.generator.model_profile import ModelProfile
from deployments.generator.prompt_encoding import PromptEncoder
from deployments.generator.training.adapter import merge_adapter, train_adapter
from deployments.generator.training.checkpoint import CheckpointMismatch
from deployments.generator.training.config import AdapterTrainingConfig
from deployments.generator.training.data import DataError
from deployments.generator.training.instructions import InstructionData, InstructionEncoder, read_instructions
from deployments.generator.training.run_record import TrainingRun
from deployments.generator.training.trainer import Progress
from serve_app.contracts import ChatTurn, GenerationRequest
from serve_app.errors import ConfigurationError, ModelUnavailable

WORDS = ("amount", "budget", "cost", "date")
PROMPT = make_request(
    None,
    turns=(ChatTurn(role="system", content="Say it backwards."), ChatTurn(role="user", content="cost date")),
)


def config(**changes: Any) -> AdapterTrainingConfig:
    values: dict[str, Any] = {
        "base": "tiny",
        "optimization": {
            "optimizer": "adamw",
            "max_steps": 6,
            "time_budget_s": None,
            "learning_rate": 1e-2,
            "warmup_steps": 2,
        },
        "batch": {"sequences": 4, "pool_batches": 2, "workers": 0},
        "accumulation": 2,
        "held_out_one_in": 4,
        "progress_every_s": 1e-6,
        "precision": "float32",
        "device": "cpu",
    }
    return AdapterTrainingConfig.model_validate(values | changes)


def base(**changes: Any) -> ModelProfile:
    return tiny_profile(prompt_format="chat", **changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    rows = []
    for number in range(60):
        words = random.Random(number).choices(WORDS, k=2)
        row = {"input": f"{' '.join(words)} {number}", "output": " ".join(reversed(words)), "source": "test"}
        rows.append(json.dumps({"instruction": "Say it backwards."} | row))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def data(file: Path) -> InstructionData:
    return read_instructions(file, 4)


def run(folder: Path, data: InstructionData, settings: AdapterTrainingConfig, **options: Any) -> TrainingRun:
    return train_adapter(settings, options.pop("profile", None) or base(), data, folder, **options)


def logits(profile: ModelProfile, text: str = "how much was spent") -> torch.Tensor:
    loaded = load_model(profile)
    ids = torch.tensor([loaded.backend.encode(text).ids])
    with torch.inference_mode():
        return loaded.model(input_ids=ids).logits.float()


def steps(count: int) -> dict[str, Any]:
    return config().optimization.model_dump() | {"max_steps": count}


def test_the_loss_falls_and_the_base_stays(tmp_path: Path, data: InstructionData) -> None:
    before = logits(base())
    record = run(tmp_path / "adapter", data, config(optimization=steps(40)))
    assert record.curve[-1].loss < record.curve[0].loss / 2
    assert torch.equal(before, logits(base()))
    assert record.base is not None
    assert record.parameters < record.base.parameters
    assert record.sequences == 40 * 2 * 4
    names = sorted(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    assert len(names) == 2 * 4 * 2  # layers, projections, two matrices each
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (saved["r"], saved["lora_alpha"]) == (16, 32.0)
    assert sorted(saved["target_modules"]) == ["k_proj", "o_proj", "q_proj", "v_proj"]


@pytest.mark.parametrize("at_step", [2, 3])
def test_an_interrupted_run_ends_the_same(tmp_path: Path, data: InstructionData, at_step: int) -> None:
    """Dropout, moments and place in the data go on as if nothing had happened."""

    def interrupt(progress: Progress) -> None:
        if progress.step == at_step:
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole", data, config())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", data, config(), progress=interrupt)
    assert not (tmp_path / "cut").exists()
    resumed = run(tmp_path / "cut", data, config())
    mine, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert (resumed.steps, resumed.data_digest) == (whole.steps, whole.data_digest)
    assert [point.loss for point in resumed.curve] == [point.loss for point in whole.curve]


def test_another_file_or_base_does_not_go_on_from_a_checkpoint(
    tmp_path: Path, data: InstructionData, file: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "adapter", data, config(), progress=interrupt)
    file.write_text(file.read_text().replace("cost", "costs"))
    with pytest.raises(CheckpointMismatch, match=r"other settings \(data\)"):
        run(tmp_path / "adapter", read_instructions(file, 4), config())
    with pytest.raises(CheckpointMismatch, match=r"other settings \(base_quantization, quantization\)"):
        run(tmp_path / "adapter", data, config(quantization="8bit"))


def test_accumulated_batches_make_the_step_of_a_large_one(tmp_path: Path, data: InstructionData) -> None:
    """The mean is over all tokens of the step, whatever batches they came in."""
    plain = {"adapter": {"dropout": 0.0}, "optimization": steps(1)}
    one = {"sequences": 8, "pool_batches": 1, "workers": 0}
    many = {"sequences": 2, "pool_batches": 4, "workers": 0}
    large = run(tmp_path / "large", data, config(**plain, batch=one, accumulation=1))
    small = run(tmp_path / "small", data, config(**plain, batch=many, accumulation=4))
    assert small.curve[0].loss == pytest.approx(large.curve[0].loss, rel=1e-5)
    mine, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("large", "small"))
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-5) for name in mine)


@pytest.mark.parametrize("checkpointing", [True, False])
def test_gradient_checkpointing_changes_no_gradient(
    tmp_path: Path, data: InstructionData, checkpointing: bool
) -> None:
    record = run(tmp_path / "a", data, config(gradient_checkpointing=checkpointing))
    reference = run(tmp_path / "b", data, config(gradient_checkpointing=not checkpointing))
    assert [p.loss for p in record.curve] == pytest.approx([p.loss for p in reference.curve], rel=1e-4)


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_a_quantized_base_learns_in_bfloat16(
    tmp_path: Path, data: InstructionData, quantization: str
) -> None:
    settings = config(quantization=quantization, precision="bfloat16", optimization=steps(25))
    record = run(tmp_path / "adapter", data, settings)
    assert record.curve[-1].loss < record.curve[0].loss * 0.8
    assert record.base is not None
    assert record.base.quantization == quantization


@pytest.fixture
def adapter(tmp_path: Path, data: InstructionData) -> Path:
    run(tmp_path / "site-words", data, config(optimization=steps(30)))
    return tmp_path / "site-words"


def test_merged_weights_answer_as_base_and_adapter_do(tmp_path: Path, adapter: Path) -> None:
    merge_adapter(base(dtype="float32"), adapter, tmp_path / "merged")
    served = base().finetuned(adapter)
    merged = base().finetuned(tmp_path / "merged")
    assert (served.adapter, served.folder) == (adapter, tiny_mistral_folder())
    assert (merged.adapter, merged.folder) == (None, tmp_path / "merged")
    assert torch.allclose(logits(served), logits(merged), atol=1e-4)
    assert not torch.allclose(logits(base()), logits(merged), atol=0.1)
    assert "site-words" in served.name
    assert TrainingRun.model_validate_json((tmp_path / "merged" / "training_run.json").read_text()).base


def test_an_adapter_beside_quantized_weights_moves_them_the_same_way(adapter: Path) -> None:
    plain = logits(base().finetuned(adapter)) - logits(base())
    quantized = logits(base(quantization="8bit").finetuned(adapter)) - logits(base(quantization="8bit"))
    likeness = torch.nn.functional.cosine_similarity(plain.flatten(), quantized.flatten(), dim=0)
    assert likeness > 0.95


async def test_the_engine_serves_an_adapter(make_engine: MakeEngine, adapter: Path) -> None:
    learned = make_engine(base().finetuned(adapter))
    generation = await learned.submit(PROMPT)
    assert generation.model == "site-words"
    assert generation.texts[0].text != (await make_engine(base()).submit(PROMPT)).texts[0].text


def test_an_adapter_of_another_model_is_refused(tmp_path: Path, adapter: Path) -> None:
    folder = make_tiny_mistral(tmp_path / "other", seed=1)
    weights = folder / "model-00001.safetensors"
    for path in sorted(folder.glob("*.safetensors")):
        if "model.norm.weight" in load_file(path):
            weights = path
    tensors = load_file(weights)
    tensors["model.norm.weight"] *= 2
    from safetensors.torch import save_file

    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"was trained for .*; set MISTRAL_MODEL to that model"):
        load_model(base(folder=folder).finetuned(adapter))


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_adapter_is_refused(adapter: Path, damage: str) -> None:
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200]) if damage == "cut" else weights.unlink()
    with pytest.raises(ModelUnavailable, match=r"adapter_model\.safetensors is (missing|damaged)"):
        load_model(base().finetuned(adapter))


def test_evaluation_uses_the_model_in_memory_and_changes_nothing(
    tmp_path: Path, data: InstructionData
) -> None:
    modes: list[tuple[bool, int]] = []

    def evaluate(loaded: LoadedModel, step: int) -> dict[str, float]:
        modes.append((loaded.model.training, step))
        torch.rand(3)
        return {"score": float(step)}

    settings = config(evaluate_every_s=1e-6)
    record = run(tmp_path / "a", data, settings, evaluate=evaluate)
    run(tmp_path / "b", data, settings)
    mine, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert modes == [(False, step) for step in range(1, 7)]
    assert record.final_scores == {"score": 6.0}
    card = (tmp_path / "a" / "README.md").read_text()
    assert "LoRA adapter, rank 16, alpha 32" in card
    assert "frozen, quantization none" in card


def test_what_is_trained_on_is_what_the_engine_sends(data: InstructionData) -> None:
    """The ids are the engine's own; the answer follows as the template writes it, and it alone counts."""
    loaded = load_model(base())
    prompts = PromptEncoder(loaded.tokenizer, loaded.backend, loaded.context_tokens, chat=True)
    pair = data.trained[0]
    encoder = InstructionEncoder(prompts, loaded.pad_id, config().batch)
    ((prompt, answer),) = encoder.rows([(pair.instruction, pair.input, pair.output)])
    assert prompt == prompts.encode(pair.request)
    messages = [{"role": turn.role, "content": turn.content} for turn in pair.request.turns]
    messages.append({"role": "assistant", "content": pair.output})
    whole = loaded.tokenizer.apply_chat_template(messages, tokenize=False)
    assert prompt + answer == loaded.tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert answer[-1] == loaded.tokenizer.eos_token_id
    pool = encoder.pool([(pair.instruction, pair.input, pair.output)], seed=1, number=0)
    weights = pool.batches[0].weights[0].tolist()
    assert weights == [0.0] * len(prompt) + [1.0] * len(answer)


def test_a_base_model_without_a_template_is_trained_on_one_text() -> None:
    loaded = load_model(tiny_profile())
    prompts = PromptEncoder(loaded.tokenizer, loaded.backend, loaded.context_tokens, chat=False)
    request = GenerationRequest(request_id="r", turns=PROMPT.turns)
    prompt, answer = prompts.encode_answered(request, "date cost")
    assert prompt == prompts.encode(request)
    assert loaded.backend.decode(answer, skip_special_tokens=True) == "date cost"
    assert answer[-1] == loaded.tokenizer.eos_token_id


def test_the_parts_of_a_file_share_no_question(file: Path, data: InstructionData) -> None:
    assert len(data.trained) + len(data.held_out) == 60
    assert {p.input for p in data.trained}.isdisjoint(p.input for p in data.held_out)
    assert read_instructions(file, 4) == data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"instruction": "a", "output": "b"}\n{"instruction": "a"}\n', "line 2: output: Field required"),
        (b'{"instruction": "a", "output": ""}\n', "line 1: output: String should have at least 1"),
        (b"{\n", "line 1: Expecting"),
        (b"[1]\n", "line 1: line: Input should be"),
        (b"\xff\n", "not UTF-8"),
        (b'{"instruction": "a", "output": "b"}\n', "both must have some"),
        (b"", "0 pairs to train on and 0 to score"),
    ],
)
def test_wrong_data_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        read_instructions(path, 4)


def test_pairs_that_never_fit_end_the_run(tmp_path: Path, data: InstructionData) -> None:
    with pytest.raises(DataError, match="max_sequence_tokens"):
        run(tmp_path / "a", data, config(batch={"max_sequence_tokens": 8, "workers": 0}))


def test_layers_that_are_not_there_are_named(tmp_path: Path, data: InstructionData) -> None:
    with pytest.raises(ConfigurationError, match="has no layers named query"):
        run(tmp_path / "a", data, config(adapter={"target_modules": ["query"]}))


def test_the_digest_of_the_base_does_not_depend_on_how_it_is_loaded() -> None:
    profiles = (base(), base(dtype="bfloat16"), base(quantization="8bit"), base(quantization="4bit"))
    assert len({base_digest(load_model(profile).model) for profile in profiles}) == 1


def test_an_adapter_needs_adamw() -> None:
    with pytest.raises(ValueError, match="must be adamw for an adapter, got muon"):
        config(optimization={"optimizer": "muon"})
