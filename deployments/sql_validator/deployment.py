"""The SqlValidator deployment."""

import gc
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.contracts import Caller, RejectedSql, StageHealth, ValidSql
from serve_app.handles import ExecutorHandle
from serve_app.logging import configure_logging
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings.tree import LoggingSettings


class SqlValidator:
    """Accepts only what the caller's policy allows; the schema comes from the Executor."""

    def __init__(
        self,
        config: ValidatorConfig,
        executor: "DeploymentHandle[Any]",
        stage_timeout_s: float,
        logs: LoggingSettings,
    ) -> None:
        configure_logging(logs.level, logs.file, "SqlValidator")
        self._core = SqlValidatorCore(ExecutorHandle(executor, stage_timeout_s).schema, config)
        # sqlglot's trees are garbage with cycles. What was loaded by now stays, so that looking for them need
        # not go through all of it, which takes a tenth of a second in the middle of a statement.
        gc.collect()
        gc.freeze()

    async def validate(self, sql: str, caller: Caller) -> ValidSql | RejectedSql:
        return await self._core.validate(sql, caller)

    async def validate_all(
        self, statements: tuple[str, ...], caller: Caller
    ) -> tuple[ValidSql | RejectedSql, ...]:
        return await self._core.validate_all(statements, caller)

    async def forget_schema(self) -> None:
        await self._core.forget_schema()

    async def health(self) -> StageHealth:
        return await self._core.health()


SqlValidatorDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(SqlValidator)
