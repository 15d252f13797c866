"""Starting and stopping the one instance of a data folder."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from serve_app.cli.environment import instance_environment
from serve_app.cli.output import EXIT_FAILED, fail
from serve_app.cli.processes import MARK, kill_all, processes_of
from serve_app.cli.state import SERVING, Instance, StateFolder
from serve_app.paths import resolve
from serve_app.settings import Settings

POLL_S = 0.25
PROBE_TIMEOUT_S = 10.0
# Serve drains for up to 20 s, Ray ends its processes in a few more.
STOP_TIMEOUT_S = 60.0
# A server without its supervisor ends by itself.
ORPHAN_TIMEOUT_S = 10.0

Report = Callable[[str], None]


def check_port(host: str, port: int) -> None:
    """Fails with one line if another program listens on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fail(
                f"port {port} on {host} cannot be used ({error.strerror}); "
                "stop the program that has it, or choose another with PLUMBLINE_PORT"
            )


def start(settings: Settings, config: Path, state: StateFolder, report: Report) -> Instance:
    """Start database and supervisor; the graph is not ready yet when this returns.

    Raises:
        CliError: the port is taken.
        DatabaseUnavailable: the embedded database does not start.
    """
    host, port = settings.server.host, settings.server.port
    if (left := state.instance()) is not None:
        _end(left)
    check_port(host, port)
    external = settings.database.dsn() is not None
    if not external:
        report("starting the embedded database")
        _database(state).start()
    state.logs.mkdir(parents=True, exist_ok=True)
    log = state.logs / "server.log"
    _forget(state)
    # Sockets live in it, and their paths are bounded to some hundred characters: never under the data folder.
    ray_folder = tempfile.mkdtemp(prefix="plumbline-ray-")
    arguments = [str(config), host, str(port), str(state.path), ray_folder]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serve_app.cli.supervisor", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=instance_environment(settings, config, state) | {MARK: ray_folder},
            start_new_session=True,
        )
    instance = Instance(
        pid=process.pid,
        process_started=psutil.Process(process.pid).create_time(),
        host=host,
        port=port,
        config=str(config),
        database="external" if external else "embedded",
        log=str(log),
        ray_folder=ray_folder,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    state.write_instance(instance)
    return instance


def revive_database(instance: Instance, state: StateFolder, report: Report) -> None:
    """Start the embedded database of a running instance again if it went away; the graph finds it by itself.

    Raises:
        DatabaseUnavailable: it does not start.
    """
    database = _database(state)
    if instance.database == "embedded" and not database.is_running():
        report("starting the embedded database again")
        database.start()


def wait_until_ready(instance: Instance, state: StateFolder, timeout_s: float, report: Report) -> None:
    """Until /ready answers 200.

    Raises:
        CliError: the start failed or took too long; the line says why and where the log is.
    """
    deadline = time.monotonic() + timeout_s
    told = ""
    while True:
        phase = state.phase()
        if phase is not None and phase.error is not None:
            fail(phase.error, code=2 if phase.usage else EXIT_FAILED)
        if not instance.is_alive():
            fail(f"the server ended while starting; see {instance.log}", EXIT_FAILED)
        waiting = (phase.text if phase else "") or told
        if waiting == SERVING:
            ready, waiting = readiness(instance.url)
            if ready:
                return
        if waiting != told:
            told = waiting
            report(told)
        if time.monotonic() > deadline:
            fail(f"not ready after {timeout_s:g} s ({told}); see {instance.log}", EXIT_FAILED)
        time.sleep(POLL_S)


def health(url: str) -> dict[str, Any] | None:
    """The body of /ready whatever its status; None if nothing answers there."""
    try:
        # On this machine: a proxy that the environment names for other hosts is not asked.
        body = httpx.get(f"{url}/ready", timeout=PROBE_TIMEOUT_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def readiness(url: str) -> tuple[bool, str]:
    """Whether every stage can serve, and what is waited for."""
    body = health(url)
    if body is None:
        return False, "waiting for the HTTP port"
    late = [f"{s['stage']}: {s['detail']}" for s in body.get("stages", []) if not s.get("ok")]
    return body.get("status") == "ok", "; ".join(late)


def stop(state: StateFolder, keep_logs: bool = False) -> bool:
    """End the instance's own processes and the embedded database; whether anything ran.

    ``keep_logs`` leaves Ray's own folder, for whoever looks why a start failed.
    """
    instance = state.instance()
    has_run = instance is not None and _end(instance)
    if keep_logs:
        state.forget_instance()
    else:
        _forget(state)
    database = _database(state)
    if not database.is_running():
        return has_run
    database.stop()
    return True


def _forget(state: StateFolder) -> None:
    """Drop the record of an instance that has ended, and the folder of its Ray."""
    instance = state.instance()
    if instance is not None:
        shutil.rmtree(instance.ray_folder, ignore_errors=True)
    state.forget_instance()


def _end(instance: Instance) -> bool:
    """SIGTERM to the supervisor, and whatever of the instance is left after that is killed by id.

    Also of one whose supervisor is gone; whether there was anything.
    """
    supervisor = instance.process()
    family = processes_of(instance.ray_folder)
    if supervisor is not None:
        family += [supervisor, *_children(supervisor)]
        with suppress(psutil.NoSuchProcess):
            supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=STOP_TIMEOUT_S)
    _, left = psutil.wait_procs(family, timeout=ORPHAN_TIMEOUT_S)
    kill_all(left)
    return bool(family)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _database(state: StateFolder) -> Any:
    from deployments.executor.embedded import EmbeddedPostgres

    return EmbeddedPostgres(state.database)


def reader_dsn(settings: Settings, state: StateFolder) -> str:
    """The DSN of the role that questions are answered with.

    Raises:
        CliError: it is the embedded database's, which does not run.
    """
    given = settings.database.dsn()
    if given is not None:
        return given.get_secret_value()
    database = _database(state)
    if not database.is_running():
        fail("the embedded database does not run; start it with `plumbline up`", EXIT_FAILED)
    return str(database.start().dsn)


def default_config() -> Path:
    return resolve(Path("configs/serve/embedded.yaml"))
