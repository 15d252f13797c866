"""Strict reading of Serve config files: Serve itself drops unknown keys in silence."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.generator.engine_config import EngineConfig
from serve_app.app_args import AppArgs
from serve_app.errors import ConfigurationError

IMPORT_PATH = "serve_app.app:build_app"
DEPLOYMENTS = ("Ingress", "Conversations", "PromptBuilder", "Generator", "SqlValidator", "Executor")
GENERATOR = "Generator"
# What each deployment's reconfigure() takes; the others take no user_config.
USER_CONFIGS: dict[str, type[BaseModel]] = {GENERATOR: EngineConfig}


def generator_name(engine: str, place: int) -> str:
    """The deployment of a cascade's engine: the first is the Generator of every config."""
    return f"{GENERATOR}-{engine}" if place else GENERATOR


def load_serve_config(path: Path) -> ServeDeploySchema:
    """Read a Serve config of this project.

    Raises:
        ConfigurationError: lists every unknown key and every wrong value.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    faults = [f"{path.name}: {fault}" for fault in config_faults(raw)]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return ServeDeploySchema.model_validate(raw)


def config_faults(raw: Any) -> list[str]:
    """Everything that Serve or a deployment would ignore or refuse."""
    if not isinstance(raw, dict):
        return ["must be a mapping"]
    faults = list(unknown_keys(raw, ServeDeploySchema, ""))
    try:
        ServeDeploySchema.model_validate(raw)
    except ValidationError as error:
        faults += [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
    for application in raw.get("applications") or ():
        faults += _application_faults(application)
    return faults


def _application_faults(application: dict[str, Any]) -> Iterator[str]:
    if application.get("import_path") != IMPORT_PATH:
        yield f"import_path: is {application.get('import_path')!r}; must be {IMPORT_PATH}"
    yield from _model_faults("args", AppArgs, application.get("args") or {})
    for deployment in application.get("deployments") or ():
        name = str(deployment.get("name"))
        # Generator-<model profile> is a further engine of a cascade.
        kind = GENERATOR if name.startswith(f"{GENERATOR}-") else name
        if kind not in DEPLOYMENTS:
            yield f"deployments: there is no deployment {name!r}{_did_you_mean(name, DEPLOYMENTS)}"
        user_config = deployment.get("user_config")
        if user_config is None:
            continue
        if kind in USER_CONFIGS:
            yield from _model_faults(f"{name}.user_config", USER_CONFIGS[kind], user_config)
        else:
            yield f"{name}.user_config: this deployment takes none"


def _model_faults(name: str, model: type[BaseModel], values: Any) -> Iterator[str]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            yield f"{name}.{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def unknown_keys(values: dict[str, Any], model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Keys that no field of the model, or of the models within it, takes."""
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            yield f"{prefix}{key}: unknown key{_did_you_mean(key, model.model_fields)}"
            continue
        inner = _model_within(field.annotation)
        if inner is None:
            continue
        for place, item in enumerate(value) if isinstance(value, list) else [("", value)]:
            if isinstance(item, dict):
                yield from unknown_keys(item, inner, f"{prefix}{key}.{place}.".replace("..", "."))


def _model_within(annotation: Any) -> type[BaseModel] | None:
    """The model inside of X, X | None, list[X] and Dict | X; None if there is none."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, BaseModel) else None
    return next((m for arg in get_args(annotation) if (m := _model_within(arg)) is not None), None)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
