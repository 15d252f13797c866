"""The house model in this process, over a real database, without a running instance."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedPostgres
from deployments.executor.executor import SqlExecutor
from deployments.generator.engine import Engine
from deployments.generator.transformers_engine import TransformersEngine
from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.builder import PromptProfile
from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.house.profile import HouseConfig, HouseProfile
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.errors import ConfigurationError
from serve_app.evaluation.local import LocalEndpoint
from serve_app.house_model import is_own_pack
from serve_app.paths import resolve
from serve_app.pipeline import EnginePlan
from serve_app.plan import make_plan
from serve_app.settings import Settings


def target_dsn(settings: Settings, pack: Path) -> str:
    """The evaluation's database: the one that is asked, else the embedded one, started if need be.

    Raises:
        ConfigurationError: the pack speaks of another database than the embedded one, and none is given.
        DatabaseUnavailable: the embedded database does not start.
    """
    given = settings.database.dsn()
    if given is not None:
        return given.get_secret_value()
    if not is_own_pack(pack):
        raise ConfigurationError(f"Set DATABASE_URL to the database of {pack}: the evaluation runs on it.")
    return _embedded(settings).start().dsn


@contextmanager
def target_database(settings: Settings, pack: Path) -> Iterator[str]:
    """`target_dsn`; the embedded database is stopped afterwards if it did not run before."""
    embedded = settings.database.dsn() is None
    stops = embedded and not _embedded(settings).is_running()
    try:
        yield target_dsn(settings, pack)
    finally:
        if stops:
            _embedded(settings).stop()


def _embedded(settings: Settings) -> EmbeddedPostgres:
    return EmbeddedPostgres(resolve(settings.server.data_dir) / "postgres")


@asynccontextmanager
async def profile_endpoint(
    profile: PromptProfile, engine: Engine, plan: EnginePlan, dsn: str, config: ExecutorConfig | None = None
) -> AsyncIterator[LocalEndpoint]:
    """An engine behind a prompt profile, asked the way a server asks it.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    executor = SqlExecutor(dsn, config or ExecutorConfig(), {})
    try:
        schema = await executor.schema()
        yield LocalEndpoint(profile, engine, schema, plan, SqlValidatorCore(executor.schema), executor)
    finally:
        await executor.close()


@asynccontextmanager
async def settled_endpoint(
    settings: Settings, weights: Path | None, dsn: str
) -> AsyncIterator[LocalEndpoint]:
    """The endpoint as the settings have it, with other weights if given; a calibration beside them counts.

    Raises:
        ConfigurationError: the model profile is not the house model's, or a file of the model is wrong.
        DatabaseUnavailable: the database cannot be reached.
    """
    if weights is not None:
        model = settings.model.model_copy(update={"name": str(weights)})
        settings = settings.model_copy(update={"model": model})
    plan = make_plan(settings)
    if plan.profile.prompt_profile != "house":
        raise ConfigurationError(
            f"Only the house model is evaluated in this process, not {plan.profile.name!r}; "
            "start an instance and leave out --local."
        )
    engine = TransformersEngine(plan.profile)
    try:
        house = HouseConfig(grammar=plan.profile.grammar)
        counter = TokenCounter(engine.count_tokens)
        profile = HouseProfile(load_domain(plan.domain_folder), counter, house)
        first = plan.service.pipeline.engines[0]
        async with profile_endpoint(profile, engine, first, dsn, settings.executor) as endpoint:
            yield endpoint
    finally:
        await engine.close()
