"""Training the house model: synthesized pairs in, weights and a model card with measured accuracy out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from deployments.executor.config import ExecutorConfig
from deployments.executor.executor import SqlExecutor
from deployments.generator.checksums import renew_checksums
from deployments.generator.engine import Engine
from deployments.generator.model_profile import ModelProfile, load_profile
from deployments.generator.training.config import RunConfig, TrainingConfig
from deployments.generator.training.trainer import train
from deployments.generator.transformers_engine import TransformersEngine
from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.builder import PromptProfile
from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.house.form import FORM_TOKENS
from deployments.prompt_builder.house.profile import HouseConfig, HouseProfile
from deployments.prompt_builder.synthesis.pairs import PairStream
from serve_app.confidence import CALIBRATION_FILE
from serve_app.contracts import GenerationRequest, SamplingParams, SchemaSnapshot
from serve_app.domain_check import check_domain
from serve_app.errors import ConfigurationError
from serve_app.evaluation.golds import GoldDatabase
from serve_app.evaluation.house import profile_endpoint, target_dsn
from serve_app.evaluation.items import Item, load_items
from serve_app.evaluation.report import make_report
from serve_app.evaluation.run import evaluate
from serve_app.house_model import HOUSE_PROFILE, is_own_pack, weights_folder
from serve_app.paths import PROJECT_ROOT, named_config, resolve
from serve_app.pipeline import EnginePlan
from serve_app.settings import Settings

CONFIG_FILE = Path("configs/models/house/training.yaml")
# Held-out questions scored at each evaluation: within three points at 95 % confidence.
HELD_OUT_PAIRS = 300
# Apart from the training stream's seeds, so that a held-out question is one that no run draws first.
HELD_OUT_SEED = 7_919
CONCURRENCY = 8
GENERATION_TIMEOUT_S = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingRequest:
    """What the operator asked for; None takes the project's own."""

    config: Path | None = None
    domain: Path | None = None
    out: Path | None = None
    minutes: float | None = None
    steps: int | None = None
    evaluation: tuple[Path, ...] = ()
    start_from: Path | None = None
    without_writers: frozenset[str] = frozenset()
    resume: bool = True


def train_house_model(request: TrainingRequest, settings: Settings, say: Say) -> Path:
    """Train, or go on with an interrupted run, and write the model's folder; returns it.

    Raises:
        ConfigurationError: the training config or the domain pack is wrong.
        EvaluationFileError: an evaluation file is.
        DatabaseUnavailable: the evaluation needs the embedded database and it does not start.
    """
    config = _config(request)
    profile = load_profile(named_config("models", HOUSE_PROFILE))
    pack = resolve(request.domain or settings.domain.pack)
    out = request.out or weights_folder(profile, pack)
    _refuse_faulty(pack, settings)
    files = {path.stem: load_items(path) for path in request.evaluation}
    scoring = Scoring(profile, pack, files, target_dsn(settings, pack) if files else None)
    stream = PairStream(pack, without_writers=request.without_writers)
    _refuse_unknown(request.without_writers, stream)
    say(f"training {config.name} from {pack}: {run_length(config)}")
    run = train(
        config,
        stream,
        out,
        added_tokens=tuple(dict.fromkeys((*stream.vocabulary(), *FORM_TOKENS))),
        # The project's own model folder is kept in the repository; its checkpoints are not.
        work_dir=PROJECT_ROOT / "runs" / HOUSE_PROFILE if request.out is None and is_own_pack(pack) else None,
        start_from=request.start_from,
        evaluate=scoring.scores,
        progress=lambda progress: say(progress.line()),
        description=_description(pack, config),
        resume=request.resume,
    )
    if (out / CALIBRATION_FILE).is_file():
        # It was fitted on the answers of the weights that are gone.
        (out / CALIBRATION_FILE).unlink()
        renew_checksums(out)
        say(f"{CALIBRATION_FILE} removed; fit the confidence again: plumbline eval FILES --calibrate FILE")
    say(f"{run.sequences:,} sequences in {run.training_s / 60:.1f} min")
    return out


class Scoring:
    """Scores of a snapshot: exact targets on held-out pairs, and execution accuracy on evaluation files."""

    def __init__(
        self, profile: ModelProfile, pack: Path, files: Mapping[str, tuple[Item, ...]], dsn: str | None
    ) -> None:
        self._profile = profile
        self._pack = pack
        self._files = files
        self._dsn = dsn
        held_out = PairStream(pack, part="held_out")
        self._pairs = tuple(islice(held_out(HELD_OUT_SEED, 0), HELD_OUT_PAIRS))

    def scores(self, folder: Path, step: int) -> dict[str, float]:
        """Percentages by name, for the model in ``folder``."""
        return asyncio.run(self._scores(folder))

    async def _scores(self, folder: Path) -> dict[str, float]:
        engine = TransformersEngine(self._profile.override(str(folder)))
        try:
            found = {"held-out targets exact, %": await self._exact(engine)}
            if self._dsn is not None:
                found |= await self._executed(engine, self._dsn)
            return found
        finally:
            await engine.close()

    async def _exact(self, engine: Engine) -> float:
        greedy = SamplingParams(max_new_tokens=self._profile.sampling.max_new_tokens, temperature=0.0)
        asked = [
            (_held_out_request(number, greedy, text=prompt), target)
            for number, (prompt, target) in enumerate(self._pairs)
        ]
        return await exact_share(engine, asked)

    async def _executed(self, engine: Engine, dsn: str) -> dict[str, float]:
        config = HouseConfig(grammar=self._profile.grammar)
        profile = HouseProfile(load_domain(self._pack), TokenCounter(engine.count_tokens), config)
        return await executed_shares(profile, engine, self._profile.sampling, self._files, dsn)


def _refuse_faulty(pack: Path, settings: Settings) -> None:
    """A pack with errors would train a model that answers wrongly, after minutes of work.

    Raises:
        ConfigurationError: names every error that `plumbline domain check` finds without a database.
    """
    errors = [found.line() for found in check_domain(pack, None, settings) if found.severity == "error"]
    if errors:
        raise ConfigurationError("\n".join([f"The domain pack {pack} has errors:", *errors]))


def _held_out_request(number: int, params: SamplingParams, text: str) -> GenerationRequest:
    return GenerationRequest(
        request_id=f"held-out-{number}", text=text, params=params, timeout_s=GENERATION_TIMEOUT_S
    )


async def exact_share(engine: Engine, asked: Sequence[tuple[GenerationRequest, str]]) -> float:
    """Percentage of requests whose output is the target, character for character."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def right(request: GenerationRequest, target: str) -> bool:
        async with slots:
            return (await engine.submit(request)).texts[0].text.strip() == target.strip()

    hits = await asyncio.gather(*(right(request, target) for request, target in asked))
    return 100.0 * sum(hits) / len(hits)


async def executed_shares(
    profile: PromptProfile,
    engine: Engine,
    sampling: SamplingParams,
    files: Mapping[str, tuple[Item, ...]],
    dsn: str,
) -> dict[str, float]:
    """Percentage of right answers by execution, for each evaluation file."""
    # Without a calibration nothing is refused for being unsure: the weights alone are judged.
    plan = EnginePlan(name="trained", sampling=sampling)
    found: dict[str, float] = {}
    async with (
        profile_endpoint(profile, engine, plan, dsn) as endpoint,
        GoldDatabase(dsn, CONCURRENCY) as database,
    ):
        for name, items in files.items():
            results = await evaluate(items, endpoint, database, CONCURRENCY)
            found[f"{name} right, %"] = make_report(name, results).score.percent
    return found


async def live_schema(dsn: str) -> SchemaSnapshot:
    """What the assistant may see of a database."""
    executor = SqlExecutor(dsn, ExecutorConfig(), {})
    try:
        return await executor.schema()
    finally:
        await executor.close()


ConfigT = TypeVar("ConfigT", bound=RunConfig)


def run_config(kind: type[ConfigT], path: Path, minutes: float | None, steps: int | None) -> ConfigT:
    """A training config from its file, with the length of the run that was asked for instead.

    Raises:
        ConfigurationError: every fault of the file.
    """
    try:
        config = kind.load(path)
    except ValidationError as error:
        faults = [f"- {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigurationError("\n".join([f"The training config {path} has faults:", *faults])) from error
    length = {"time_budget_s": minutes * 60 if minutes is not None else None, "max_steps": steps}
    given = {name: value for name, value in length.items() if value is not None}
    if not given:
        return config
    # What is not given does not end the run: asked for 500 steps, it takes 500 steps however long.
    budget = config.optimization.model_copy(update={"time_budget_s": None, "max_steps": None} | given)
    return config.model_copy(update={"optimization": budget})


def _refuse_unknown(writers: frozenset[str], stream: PairStream) -> None:
    """A misspelt writer would be trained on after all.

    Raises:
        ConfigurationError: names who is not among the pack's writers.
    """
    left_out = stream.synthesizer.library.report.absent
    if unknown := sorted(writers - left_out):
        raise ConfigurationError(f"the pack's phrasings have no writer {', '.join(map(repr, unknown))}")


def _config(request: TrainingRequest) -> TrainingConfig:
    return run_config(TrainingConfig, request.config or resolve(CONFIG_FILE), request.minutes, request.steps)


def run_length(config: RunConfig) -> str:
    budget = config.optimization
    parts = [
        f"{budget.max_steps:,} steps" if budget.max_steps else "",
        f"{budget.time_budget_s / 60:g} min" if budget.time_budget_s else "",
    ]
    return " or ".join(filter(None, parts))


def _description(pack: Path, config: TrainingConfig) -> str:
    command = "plumbline train" if is_own_pack(pack) else "plumbline train --domain FOLDER"
    return (
        "A small causal language model that turns linked questions of the domain pack "
        f"`{load_domain(pack).name}` into query "
        "specifications, which a compiler turns into SQL. Trained from scratch on questions synthesized from "
        f"the schema and the pack (seed {config.seed}); one linked question in fifty, by hash, is held out. "
        f"Train it again with `{command}`."
    )
