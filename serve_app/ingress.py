"""The HTTP ingress deployment: the FastAPI app over handles of the five stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from serve_app.audit.log import AuditLog, open_log
from serve_app.audit.records import Auditor
from serve_app.auth.setup import make_gate
from serve_app.engines import one_generator
from serve_app.handles import (
    ConversationsHandle,
    ExecutorHandle,
    GeneratorHandle,
    PromptBuilderHandle,
    SqlValidatorHandle,
)
from serve_app.http_app import make_app
from serve_app.logging import configure_logging
from serve_app.loopback import refuse_open_port
from serve_app.metrics import Figures
from serve_app.pipeline import Stages
from serve_app.ray_metrics import RayRecorder
from serve_app.service import ChatService, ServiceConfig
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings import load_section
from serve_app.settings.identity import AuditSettings, AuthSettings
from serve_app.settings.tree import LoggingSettings


class Ingress:
    """HTTP in and out, admission, and the order of the steps."""

    def __init__(
        self,
        config: ServiceConfig,
        conversations: "DeploymentHandle[Any]",
        prompt_builder: "DeploymentHandle[Any]",
        generators: "Mapping[str, DeploymentHandle[Any]]",
        validator: "DeploymentHandle[Any]",
        executor: "DeploymentHandle[Any]",
        logs: LoggingSettings,
        settings_file: Path | None,
        data_folder: Path,
    ) -> None:
        configure_logging(logs.level, logs.file, "Ingress")
        # Secrets are not bound: this process reads its own, and no others.
        auth = load_section("auth", AuthSettings, file=settings_file)
        refuse_open_port(served_host(), config.access.mode)
        audit = load_section("audit", AuditSettings, file=settings_file)
        self._gate = make_gate(auth, data_folder)
        self._audit = open_log(audit, data_folder)
        limit_s = config.limits.stage_timeout_s
        builder = PromptBuilderHandle(prompt_builder, limit_s)
        stages = Stages(
            ConversationsHandle(conversations, limit_s),
            builder,
            one_generator({name: GeneratorHandle(handle, limit_s) for name, handle in generators.items()}),
            SqlValidatorHandle(validator, limit_s),
            ExecutorHandle(executor, limit_s),
            direct=builder if config.pipeline.direct_confidence <= 1 else None,
        )
        self._auditor = Auditor(self._audit, audit.required)
        self._service = ChatService(stages, config, Figures(RayRecorder()), auditor=self._auditor)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The hook by which Serve asks for the app once the replica is made."""
        # Serve's own proxy echoes the request's id; twice would be one too many.
        return make_app(self._service, echo_request_id=False, gate=self._gate, auditor=self._auditor)

    def __del__(self) -> None:
        # A start that failed has none.
        audit: AuditLog | None = getattr(self, "_audit", None)
        if audit is not None:
            audit.close()


def served_host() -> str:
    """The address that Serve's proxy listens on; the loopback interface where there is no Serve."""
    # Asking would start a Ray where there is none.
    client = _get_global_client(raise_if_no_controller_running=False) if ray.is_initialized() else None
    return str(client.http_config.host) if client is not None else "127.0.0.1"


# Health and metrics must get through while questions wait, so Serve's own limit stands above the admission's.
IngressDeployment = serve.deployment(**{**DEPLOYMENT_DEFAULTS, "max_ongoing_requests": 200})(
    serve.ingress()(Ingress)
)
