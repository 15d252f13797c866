"""The environment of an instance: the operator's, with secrets moved into files that their stages read."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from serve_app.app_args import AppArgs
from serve_app.cli.role import ADMIN_URL_VARIABLE, PASSWORD_VARIABLE
from serve_app.cli.state import StateFolder
from serve_app.errors import ConfigurationError
from serve_app.paths import named_config
from serve_app.secret_files import SECRETS_VARIABLE, read_secret, secrets_folder, write_secrets
from serve_app.settings import Settings, settings_table
from serve_app.settings.loading import CREDENTIAL_VARIABLE

# Serve kills a proxy that does not answer within 5 s, later 10 s: too short for the start on a busy machine.
PROXY_PATIENCE = {
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
    # One that died is replaced after three checks; nobody is served until then.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
}
# What would lead Ray to another cluster.
OF_OTHER_CLUSTERS = ("RAY_ADDRESS", "RAY_TMPDIR")
# Secrets of commands, which the server has no use for.
OF_COMMANDS = (ADMIN_URL_VARIABLE, PASSWORD_VARIABLE, CREDENTIAL_VARIABLE)


def instance_environment(
    settings: Settings, config: Path, state: StateFolder, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What the supervisor is started with; writes the folder of secrets if the environment holds any."""
    given = os.environ if environ is None else environ
    environment = {
        name: value for name, value in given.items() if name not in (*OF_OTHER_CLUSTERS, *OF_COMMANDS)
    }
    environment["PLUMBLINE_DATA_DIR"] = str(state.path)
    for name, value in (PROXY_PATIENCE | {"RAY_USAGE_STATS_ENABLED": "0"}).items():
        environment.setdefault(name, value)
    file = settings.logging.file
    environment["LOG_FILE"] = str(state.logs / "plumbline.jsonl" if file is None else file.resolve())
    _hand_over(environment, secret_variables(settings, config), state.secrets)
    return environment


def _hand_over(environment: dict[str, str], names: set[str], folder: Path) -> None:
    """Move what is secret in ``environment`` into files, beside what its own folder of secrets holds."""
    operators = secrets_folder(environment)
    if operators is not None:
        environment[SECRETS_VARIABLE] = str(operators)
    if not any(environment.get(name) for name in names):
        return
    found = {name: read_secret(name, environment) for name in names}
    write_secrets(folder, {name: value for name, value in found.items() if value is not None})
    for name in names:
        environment.pop(name, None)
    environment[SECRETS_VARIABLE] = str(folder)


def secret_variables(settings: Settings, config: Path) -> set[str]:
    """The variables of secret settings, and of the API keys that the model profiles in use name."""
    return {setting.variable for setting in settings_table() if setting.secret} | set(
        _keys_of_models(settings, config)
    )


def _keys_of_models(settings: Settings, config: Path) -> Iterator[str]:
    from deployments.generator.model_profile import load_profile

    named = {settings.model.profile, *settings.model.cascade}
    for arguments in _arguments(config):
        named |= {*arguments.model_cascade, *filter(None, [arguments.model_profile])}
    for profile in named:
        try:
            remote = load_profile(named_config("models", profile)).remote
        except ConfigurationError:
            # The graph's start tells what is wrong with it.
            continue
        if remote is not None and remote.api_key_variable is not None:
            yield remote.api_key_variable


def _arguments(config: Path) -> Iterator[AppArgs]:
    """What a Serve config says to the application; what is wrong with it the graph's start tells."""
    try:
        for application in yaml.safe_load(config.read_text(encoding="utf-8"))["applications"]:
            yield AppArgs.model_validate(application.get("args") or {})
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        ValidationError,
        KeyError,
        TypeError,
        AttributeError,
    ):
        return
