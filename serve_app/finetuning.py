"""Fine-tuning an instruction model by LoRA: its data from the synthesizer, the run, and merged weights."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.generator.checks import check_adapter
from deployments.generator.loading import LoadedModel
from deployments.generator.model_profile import ModelProfile, load_profile
from deployments.generator.training.adapter import base_profile, merge_adapter, train_adapter
from deployments.generator.training.checkpoint import CheckpointMismatch
from deployments.generator.training.config import AdapterTrainingConfig
from deployments.generator.training.data import DataError
from deployments.generator.training.instructions import InstructionData, read_instructions
from deployments.generator.transformers_engine import TransformersEngine
from deployments.prompt_builder.budget import CountTokens, TokenCounter
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.instruction.profile import InstructionProfile
from deployments.prompt_builder.retrieval import load_examples
from deployments.prompt_builder.synthesis.instruction_pairs import InstructionPairs
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.contracts import Caller, SchemaSnapshot
from serve_app.errors import ConfigurationError
from serve_app.evaluation.house import target_dsn
from serve_app.evaluation.items import Item, load_items
from serve_app.paths import PROJECT_ROOT, named_config, resolve
from serve_app.settings import Settings
from serve_app.training import (
    GENERATION_TIMEOUT_S,
    Say,
    exact_share,
    executed_shares,
    live_schema,
    run_config,
    run_length,
)

CONFIG_FILE = Path("configs/models/mistral-7b/lora.yaml")
RUNS = PROJECT_ROOT / "runs" / "lora"
# Days on which the questions of the data are asked, in days before the export.
ASKED_DAYS_BEFORE = (0, 97, 191, 289)
# For a tokenizer that is not at hand; the prompts of a real one are a little fuller or emptier.
CHARS_PER_TOKEN = 3
PROGRESS_EVERY = 500


@dataclass(frozen=True)
class AdapterRequest:
    """What the operator asked for; None takes the project's own."""

    data: Path
    config: Path | None = None
    out: Path | None = None
    minutes: float | None = None
    steps: int | None = None
    evaluation: tuple[Path, ...] = ()
    resume: bool = True


def train_lora(request: AdapterRequest, settings: Settings, say: Say) -> Path:
    """Train an adapter, or go on with an interrupted run; returns its folder.

    Raises:
        ConfigurationError: the config, the data or the checkpoint is wrong, or peft is missing.
        ModelUnavailable: the base model cannot be loaded here.
        EvaluationFileError: an evaluation file is wrong.
    """
    config = run_config(
        AdapterTrainingConfig, request.config or resolve(CONFIG_FILE), request.minutes, request.steps
    )
    profile = _profile(config, settings)
    data = read_instructions(request.data, config.held_out_one_in)
    files = {path.stem: load_items(path) for path in request.evaluation}
    out = request.out or RUNS / "adapter"
    scoring = AdapterScoring(config, profile, settings, data, files)
    say(f"training {config.name} on {len(data.trained):,} pairs: {run_length(config)}")
    try:
        run = train_adapter(
            config,
            profile,
            data,
            out,
            evaluate=scoring.scores,
            progress=lambda progress: say(progress.line()),
            description=_description(config, request.data),
            resume=request.resume,
        )
    except (CheckpointMismatch, DataError) as error:
        raise ConfigurationError(f"The run cannot go on: {error}.") from error
    say(f"{run.sequences:,} sequences in {run.training_s / 60:.1f} min")
    return out


def merge(adapter: Path, config: Path | None, out: Path | None, settings: Settings) -> Path:
    """Full weights of the config's base model with the adapter merged into them; returns their folder.

    Raises:
        ConfigurationError, ModelUnavailable: see `merge_adapter`.
    """
    check_adapter(adapter)
    read = run_config(AdapterTrainingConfig, config or resolve(CONFIG_FILE), None, None)
    folder = out or RUNS / "merged"
    folder.parent.mkdir(parents=True, exist_ok=True)
    merge_adapter(_profile(read, settings), adapter, folder)
    return folder


class AdapterScoring:
    """Scores of the model in memory: exact held-out answers, and execution accuracy on evaluation files."""

    def __init__(
        self,
        config: AdapterTrainingConfig,
        profile: ModelProfile,
        settings: Settings,
        data: InstructionData,
        files: Mapping[str, tuple[Item, ...]],
    ) -> None:
        self._profile = base_profile(config, profile)
        self._settings = settings
        self._held_out = data.held_out[: config.held_out_pairs]
        self._files = files
        self._dsn = target_dsn(settings, resolve(settings.domain.pack)) if files else None
        self._greedy = profile.sampling.model_copy(update={"temperature": 0.0, "candidates": 1})

    def scores(self, loaded: LoadedModel, step: int) -> dict[str, float]:
        """Percentages by name."""
        return asyncio.run(self._scores(loaded))

    async def _scores(self, loaded: LoadedModel) -> dict[str, float]:
        engine = TransformersEngine(self._profile, loaded=loaded)
        try:
            changes = {"params": self._greedy, "timeout_s": GENERATION_TIMEOUT_S}
            asked = [
                (pair.request.model_copy(update=changes | {"request_id": f"held-out-{n}"}), pair.output)
                for n, pair in enumerate(self._held_out)
            ]
            found = {"held-out answers exact, %": await exact_share(engine, asked)}
            if self._dsn is not None:
                profile = _instruction_profile(self._settings, engine.count_tokens)
                found |= await executed_shares(profile, engine, self._greedy, self._files, self._dsn)
            return found
        finally:
            await engine.close()


def export_data(path: Path, pairs: int, seed: int, config: Path | None, settings: Settings, say: Say) -> int:
    """Write ``pairs`` instruction pairs over the live schema; returns how many statements were left out.

    Every statement is one that the guardrail lets run. The file appears whole or not at all.

    Raises:
        ConfigurationError: the training config is wrong, or the file cannot be written.
        DatabaseUnavailable: the schema cannot be read.
    """
    read = run_config(AdapterTrainingConfig, config or resolve(CONFIG_FILE), None, None)
    staging = path.with_name(path.name + ".new")
    try:
        staging.touch()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    count = _token_counting(_profile(read, settings), say)
    try:
        left_out = asyncio.run(_export(staging, pairs, seed, settings, count, say))
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
    return left_out


async def _export(path: Path, pairs: int, seed: int, settings: Settings, count: CountTokens, say: Say) -> int:
    schema = await live_schema(target_dsn(settings, resolve(settings.domain.pack)))
    say(f"reading the phrasings over {len(schema.tables)} tables …")
    source = InstructionPairs(
        _synthesizers(resolve(settings.domain.pack), schema, datetime.now(UTC).date()),
        _instruction_profile(settings, count),
        settings.prompt.default_rows,
    )
    checks = _GuardRail(schema, settings)
    seen: set[tuple[str, str]] = set()
    with path.open("w", encoding="utf-8") as file:
        async for example, sql in source.examples(seed):
            key = (example.instruction, example.input)
            if key in seen or not await checks.allows(sql):
                continue
            seen.add(key)
            file.write(example.model_dump_json() + "\n")
            if len(seen) % PROGRESS_EVERY == 0 or len(seen) == pairs:
                say(f"{len(seen):,} of {pairs:,} pairs, {checks.refused:,} statements refused")
            if len(seen) == pairs:
                break
    return checks.refused


class _GuardRail:
    """The validator over one schema, with a count of what it refused."""

    def __init__(self, schema: SchemaSnapshot, settings: Settings) -> None:
        async def source() -> SchemaSnapshot:
            return schema

        self._validator = SqlValidatorCore(source, settings.validator)
        self._caller = Caller(user_id="training", policy=settings.policy.name)
        self.refused = 0

    async def allows(self, sql: str | None) -> bool:
        if sql is None:
            return True
        accepted = (await self._validator.validate(sql, self._caller)).accepted
        self.refused += not accepted
        return accepted


def _synthesizers(pack: Path, schema: SchemaSnapshot, today: date) -> list[Synthesizer]:
    return [Synthesizer(pack, schema, today=today - timedelta(days=days)) for days in ASKED_DAYS_BEFORE]


def _instruction_profile(settings: Settings, count: CountTokens) -> InstructionProfile:
    pack = resolve(settings.domain.pack)
    config: PromptConfig = settings.prompt.model_copy(update={"profile": "instruction"})
    return InstructionProfile(
        load_domain(pack), ExampleLibrary(load_examples(pack / "examples.jsonl")), TokenCounter(count), config
    )


def _token_counting(profile: ModelProfile, say: Say) -> CountTokens:
    """By the model's tokenizer if it is on this machine, else by characters."""
    from transformers import AutoTokenizer

    tokenizer: Any = None
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            profile.source, revision=profile.revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError):
        say(f"the tokenizer of {profile.name} is not here: {CHARS_PER_TOKEN} characters count as a token")

    async def count(texts: tuple[str, ...]) -> tuple[int, ...]:
        if tokenizer is None:
            return tuple(-(-len(text) // CHARS_PER_TOKEN) for text in texts)
        return tuple(len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"])

    return count


def _profile(config: AdapterTrainingConfig, settings: Settings) -> ModelProfile:
    """The base's profile; MISTRAL_MODEL may name a copy of it.

    Raises:
        ConfigurationError: there is no such profile, or its model writes no SQL.
    """
    path = named_config("models", config.base)
    profile = load_profile(path).override(settings.model.name, settings.model.quantization)
    if profile.prompt_profile != "instruction":
        raise ConfigurationError(
            f"The model profile {config.base!r} is not of an instruction model; "
            "the house model is trained without --lora."
        )
    return profile


def _description(config: AdapterTrainingConfig, data: Path) -> str:
    return (
        f"A LoRA adapter for the model profile `{config.base}`, trained on the answers of `{data.name}`. "
        "Serve it with `USE_FINETUNED_MODEL=true FINETUNED_MODEL_PATH=` this folder, or merge it into full "
        "weights with `plumbline train --merge` this folder."
    )
