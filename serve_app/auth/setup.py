"""From settings to what the ingress asks: whose a request is, and whether it may come now."""

from pathlib import Path
from typing import NamedTuple

from serve_app.auth.api_key_authenticator import ApiKeyAuthenticator
from serve_app.auth.identity import Authenticator
from serve_app.auth.jwt_authenticator import JwtAuthenticator
from serve_app.auth.key_file import KEYS_FILE, KeyFile, read_pepper
from serve_app.auth.limits import CallLimits
from serve_app.paths import resolve
from serve_app.settings.identity import AuthSettings


class Gate(NamedTuple):
    """What stands before every call that is not open to all."""

    authenticator: Authenticator
    limits: CallLimits


def make_gate(settings: AuthSettings, data_folder: Path) -> Gate | None:
    """The gate that the settings ask for; None for mode none.

    Raises:
        ConfigurationError: keys, pepper or key set cannot be read.
    """
    if settings.mode == "none":
        return None
    limits = CallLimits(settings.rate_per_minute, settings.daily_questions)
    if settings.mode == "jwt":
        return Gate(JwtAuthenticator(settings.jwt), limits)
    path = keys_path(settings, data_folder)
    file = KeyFile(path)
    file.current()
    return Gate(ApiKeyAuthenticator(file, read_pepper(settings.pepper, path, create=False)), limits)


def keys_path(settings: AuthSettings, data_folder: Path) -> Path:
    return resolve(settings.keys_file) if settings.keys_file else data_folder / KEYS_FILE
