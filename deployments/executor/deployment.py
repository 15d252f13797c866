"""The Executor deployment: the only process that holds the target database's credentials."""

from pathlib import Path

from ray import serve

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedPostgres
from deployments.executor.executor import SqlExecutor
from serve_app.contracts import (
    ExecutionRequest,
    ExecutionResult,
    SchemaSnapshot,
    SemanticType,
    StageHealth,
    TrialOutcome,
    TrialRequest,
)
from serve_app.logging import configure_logging
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings import load_settings
from serve_app.settings.tree import LoggingSettings

DATABASE_FOLDER = "postgres"


class Executor:
    """Runs accepted statements and reads the schema.

    A database that is away fails `health`, and with it /ready, but not the replica: a new one would not help.
    """

    def __init__(
        self,
        settings_file: Path | None,
        config: ExecutorConfig,
        semantics: dict[str, SemanticType],
        data_folder: Path,
        logs: LoggingSettings,
    ) -> None:
        configure_logging(logs.level, logs.file, "Executor")
        given = load_settings(file=settings_file).database.dsn()
        if given is not None:
            dsn = given.get_secret_value()
        else:
            server = EmbeddedPostgres(data_folder / DATABASE_FOLDER)
            dsn = server.start().dsn
        self._core = SqlExecutor(dsn, config, semantics)

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        return await self._core.run(request)

    async def trial(self, request: TrialRequest) -> tuple[TrialOutcome, ...]:
        return await self._core.trial(request)

    async def schema(self, refresh: bool = False) -> SchemaSnapshot:
        return await self._core.schema(refresh)

    async def health(self) -> StageHealth:
        return await self._core.health()

    async def __del__(self) -> None:
        await self._core.close()


ExecutorDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(Executor)
