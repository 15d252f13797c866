"""Secrets in files in place of the environment: a folder with one file for each variable, named as it is.

What a process starts inherits its environment, and `/proc` shows it while it lives. A file is read by whom it
is for alone. Containers are given their secrets in such folders (`/run/secrets`).
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from serve_app.errors import ConfigurationError
from serve_app.paths import resolve

SECRETS_VARIABLE = "PLUMBLINE_SECRETS_DIR"


def secrets_folder(environ: Mapping[str, str]) -> Path | None:
    given = environ.get(SECRETS_VARIABLE)
    return resolve(Path(given)) if given else None


def read_secret(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of a variable, which wins, or of its file without blanks around it; None if neither is there.

    Raises:
        ConfigurationError: the file, or the folder that should hold it, cannot be read.
    """
    if environ.get(name):
        return environ[name]
    folder = secrets_folder(environ)
    if folder is None:
        return None
    if not folder.is_dir():
        raise ConfigurationError(f"{SECRETS_VARIABLE} is {str(folder)!r}; allowed: a folder.")
    path = folder / name
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(f"The secret {str(path)!r} cannot be read: {reason}.") from None


def write_secrets(folder: Path, secrets: Mapping[str, str]) -> None:
    """Make the folder anew with these in it, for this user alone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for name, value in secrets.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(value)
