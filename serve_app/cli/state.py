"""What is known of the instance on this machine: where it serves and which processes are its own."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from serve_app.errors import ConfigurationError
from serve_app.paths import resolve
from serve_app.settings import Settings

DATABASE_FOLDER = "postgres"
# Process ids recur; a start time within this of the recorded one is the same process.
SAME_START_S = 2.0
# The phase of a server whose stages have started; whether each can serve, /ready tells.
SERVING = "serving"


class Instance(BaseModel):
    """A started instance. ``process_started`` tells its supervisor from a later process with the same id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    process_started: float
    host: str
    port: int
    config: str
    database: Literal["embedded", "external"]
    log: str
    ray_folder: str
    started_at: str

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{host}:{self.port}"

    def is_alive(self) -> bool:
        return self.process() is not None

    def process(self) -> psutil.Process | None:
        """The supervisor, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started) < SAME_START_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class Phase(BaseModel):
    """How far the server is, for whoever waits.

    ``reason``: why it failed, for the supervisor to judge, and whether it had ``served`` before; ``error``:
    nothing more will come of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str
    reason: str | None = None
    served: bool = False
    error: str | None = None
    usage: bool = False


class StateFolder:
    """The data folder's files about the running instance."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> "StateFolder":
        return cls(resolve(settings.server.data_dir))

    @property
    def database(self) -> Path:
        return self.path / DATABASE_FOLDER

    @property
    def secrets(self) -> Path:
        """What the environment of the instance's processes is to be without."""
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def instance(self) -> Instance | None:
        """The recorded instance, running or not."""
        try:
            return Instance.model_validate_json((self.path / "instance.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None

    def running(self) -> Instance | None:
        instance = self.instance()
        return instance if instance is not None and instance.is_alive() else None

    def write_instance(self, instance: Instance) -> None:
        self._write("instance.json", instance.model_dump_json(indent=1))

    def forget_instance(self) -> None:
        for name in ("instance.json", "phase.json"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.secrets, ignore_errors=True)

    def phase(self) -> Phase | None:
        try:
            return Phase.model_validate_json((self.path / "phase.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None

    def write_phase(self, phase: Phase) -> None:
        self._write("phase.json", phase.model_dump_json())

    def phase_written_at(self) -> int:
        """A figure that changes whenever the phase is written, be it the same."""
        try:
            return (self.path / "phase.json").stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while an instance is started or stopped, so that two commands never do so at once.

        Raises:
            ConfigurationError: the folder cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / "instance.lock").open("w")
        except OSError as error:
            raise ConfigurationError(
                f"the data folder {str(self.path)!r} cannot be used ({error.strerror}); "
                "choose another with PLUMBLINE_DATA_DIR"
            ) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all: others read while this writes."""
        partial = self.path / f"{name}.{os.getpid()}"
        partial.write_text(text)
        partial.rename(self.path / name)
