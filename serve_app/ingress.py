"""The HTTP ingress deployment: the FastAPI app over handles of the five stages."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

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
from serve_app.metrics import Figures
from serve_app.pipeline import Stages
from serve_app.ray_metrics import RayRecorder
from serve_app.service import ChatService, ServiceConfig
from serve_app.serving import DEPLOYMENT_DEFAULTS
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
    ) -> None:
        configure_logging(logs.level, logs.file, "Ingress")
        builder = PromptBuilderHandle(prompt_builder)
        stages = Stages(
            ConversationsHandle(conversations),
            builder,
            one_generator({name: GeneratorHandle(handle) for name, handle in generators.items()}),
            SqlValidatorHandle(validator),
            ExecutorHandle(executor),
            direct=builder if config.pipeline.direct_confidence <= 1 else None,
        )
        self._service = ChatService(stages, config, Figures(RayRecorder()))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The hook by which Serve asks for the app once the replica is made."""
        # Serve's own proxy echoes the request's id; twice would be one too many.
        return make_app(self._service, echo_request_id=False)


# Health and metrics must get through while questions wait, so Serve's own limit stands above the admission's.
IngressDeployment = serve.deployment(**{**DEPLOYMENT_DEFAULTS, "max_ongoing_requests": 200})(
    serve.ingress()(Ingress)
)
