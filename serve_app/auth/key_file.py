"""The file of API keys, written by the command line and read by every ingress replica as it changes."""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from serve_app.auth.keys import ApiKey
from serve_app.errors import ConfigurationError

KEYS_FILE, PEPPER_FILE = "keys.json", "pepper"
PEPPER_BYTES = 32
# A revoked key ends within this.
LOOK_AGAIN_S = 1.0


class KeyList(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    keys: tuple[ApiKey, ...] = ()

    def key(self, key_id: str) -> ApiKey | None:
        return next((k for k in self.keys if k.id == key_id), None)

    def with_key(self, key: ApiKey) -> "KeyList":
        """The list with a key in place of the one of the same id, or at its end."""
        if self.key(key.id) is None:
            return self.model_copy(update={"keys": (*self.keys, key)})
        return self.model_copy(update={"keys": tuple(key if k.id == key.id else k for k in self.keys)})


class KeyFile:
    """Reads and changes the file; readers see it whole, before or after a change."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._known = KeyList()
        self._version: tuple[int, int, int] | None = None
        self._look_at = float("-inf")

    def current(self) -> KeyList:
        """The keys, at most a second old.

        Raises:
            ConfigurationError: the file is there and cannot be read.
        """
        if self._clock() >= self._look_at:
            version = self._stamp()
            if version != self._version:
                self._known, self._version = self.read(), version
            self._look_at = self._clock() + LOOK_AGAIN_S
        return self._known

    def read(self) -> KeyList:
        """Raises ConfigurationError: the file is there and cannot be read. No file is no key."""
        try:
            return KeyList.model_validate_json(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return KeyList()
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a list of keys"
            raise ConfigurationError(
                f"The file of API keys {str(self._path)!r} cannot be read: {reason}."
            ) from None

    @contextmanager
    def changing(self) -> Iterator[Callable[[KeyList], None]]:
        """Exclusive access: yields how to save. Only one process changes the file at a time."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_suffix(".lock").open("w")
        except OSError as error:
            raise ConfigurationError(
                f"The folder {str(self._path.parent)!r} cannot be written: {error.strerror}."
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._save

    def _save(self, keys: KeyList) -> None:
        write_private(self._path, keys.model_dump_json(indent=1))

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, on the disk, and for this user alone."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_pepper(given: SecretStr | None, keys_path: Path, create: bool) -> bytes:
    """The pepper: the one that is set, else the one beside the keys, which ``create`` makes if it is missing.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    if given is not None:
        return given.get_secret_value().encode()
    path = keys_path.with_name(PEPPER_FILE)
    try:
        if create and not path.exists():
            write_private(path, secrets.token_hex(PEPPER_BYTES))
        return path.read_text(encoding="utf-8").strip().encode()
    except OSError as error:
        raise ConfigurationError(
            f"The pepper of the API keys is not in {str(path)!r} ({error.strerror}). Make the first key with "
            "`plumbline keys create`, or set PLUMBLINE_AUTH_PEPPER."
        ) from error
