"""The Executor deployment: the only process that holds the target database's credentials."""

from pathlib import Path

from ray import serve

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedPostgres
from deployments.executor.embedded_keeper import EmbeddedKeeper
from deployments.executor.executor import SqlExecutor
from deployments.executor.organizations import AccessRules, logins
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies
from serve_app.contracts import (
    Caller,
    ExecutionRequest,
    ExecutionResult,
    SchemaSnapshot,
    SemanticType,
    StageHealth,
    TrialOutcome,
    TrialRequest,
)
from serve_app.logging import configure_logging
from serve_app.paths import resolve
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings import load_settings
from serve_app.settings.tree import LoggingSettings

DATABASE_FOLDER = "postgres"


class Executor:
    """Runs accepted statements and reads the schema.

    A database that is away fails `health`, and with it /ready, but not the replica: a new one would not help.
    The embedded one is started again.
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
        settings = load_settings(file=settings_file)
        given = settings.database.dsn()
        server = EmbeddedPostgres(data_folder / DATABASE_FOLDER) if given is None else None
        embedded = server.start() if server is not None else None
        self._keeper = EmbeddedKeeper(server, embedded.port) if server and embedded else None
        dsn = embedded.dsn if embedded is not None else given.get_secret_value() if given is not None else ""
        passfile = settings.database.organization_passfile
        rules = AccessRules(
            logins(dsn, embedded.organization_dsns if embedded else None, config.organization_roles),
            strict=settings.auth.mode != "none",
            passfile=resolve(passfile) if passfile else None,
            policies=Policies.load(POLICIES_FOLDER),
        )
        self._core = SqlExecutor(dsn, config, semantics, rules)

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        return await self._core.run(request)

    async def trial(self, request: TrialRequest) -> tuple[TrialOutcome, ...]:
        return await self._core.trial(request)

    async def schema(self, refresh: bool = False, caller: Caller | None = None) -> SchemaSnapshot:
        return await self._core.schema(refresh, caller)

    async def forget_schema(self) -> None:
        await self._core.forget_schema()

    async def health(self) -> StageHealth:
        return await self._core.health()

    async def check_health(self) -> None:
        """The logins hold the port of the embedded database: with another port they are to be made anew."""
        if self._keeper is not None and self._keeper.has_moved:
            raise RuntimeError("the embedded database listens on another port now")

    async def __del__(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        await self._core.close()


ExecutorDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(Executor)
