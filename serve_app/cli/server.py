"""The server that the supervisor keeps running: a private Ray with the graph in it, ended as one.

    python -m serve_app.cli.server CONFIG HOST PORT DATA_FOLDER RAY_FOLDER

Ray is told nothing of other clusters on the machine: own temporary folder, own free ports on the loopback
interface, own token. It ends on SIGTERM or SIGINT, and when its standard input ends, which the supervisor
holds open: first Serve (requests in flight finish), then Ray.
"""

import os
import re
import secrets
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import psutil

from serve_app.cli.state import SERVING, Phase, StateFolder
from serve_app.errors import PlumblineError
from serve_app.proxy import CALLBACK, CALLBACK_VARIABLE

# The graph moves messages, not data sets; Ray's default would reserve a third of the memory.
OBJECT_STORE_BYTES = 200 * 1024 * 1024
# The embedded config's shares add up to one core; Serve's own actors need room beside them.
FEWEST_CPUS = 2
# Ray's one way to keep its own ports on the loopback interface, on any system: no other machine may join.
LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
POLL_S = 0.5
WATCH_S = 2.0
# A controller that is busy for a moment, or starts again, is not gone.
MOST_FAILED_LOOKS = 8
# How a traceback begins the line of one of our errors: its class, then its type.
ERROR_NAME = re.compile(r"^serve_app\.errors\.\w+: (?:[a-z_]+: )?")
# Without one of them Ray answers for a while, and then no more.
RAY_PROCESSES = frozenset({"gcs_server", "raylet"})


class ServerFailed(Exception):
    """The graph did not come up, or is gone; the message is for the operator."""


class Server:
    """Starts everything, watches it, and ends it."""

    def __init__(self, config: Path, host: str, port: int, state: StateFolder, ray_folder: Path) -> None:
        self._config = config
        self._host = host
        self._port = port
        self._state = state
        self._stop = threading.Event()
        self._ray_folder = ray_folder
        self._served = False

    def run(self) -> int:
        """Serve until told to end; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        threading.Thread(target=self._await_end_of_input, name="lifeline", daemon=True).start()
        try:
            self._start()
            self._watch()
        except PlumblineError as error:
            return self._failed(error.message, usage=error.type == "configuration_error")
        except ServerFailed as error:
            return self._failed(str(error))
        except Exception as error:
            traceback.print_exc()
            return self._failed(
                f"the server did not start ({type(error).__name__}: {_last_line(str(error))})"
            )
        self._end()
        return 0

    def _await_end_of_input(self) -> None:
        """The supervisor is gone, however it ended: nobody would end this process any more."""
        sys.stdin.buffer.read()
        self._stop.set()

    def _failed(self, message: str, usage: bool = False) -> int:
        """Tell why. Nothing is ended here: that may hang, and the supervisor ends what is left."""
        text = f"{message} (Ray's logs: {self._ray_folder})" if not usage else message
        self._state.write_phase(Phase(text="failed", reason=text, served=self._served, usage=usage))
        return 1

    def _start(self) -> None:
        self._phase("loading Ray")
        # Ray reads how it authenticates and where it listens when it is imported.
        _use_own_token(self._state.path)
        os.environ[LOOPBACK_ONLY] = "0"
        # Serve reads in its proxy's process what stands before it.
        os.environ[CALLBACK_VARIABLE] = CALLBACK
        import ray
        from ray.serve._private.api import serve_start

        from serve_app.serve_config import load_serve_config

        config = load_serve_config(self._config)
        self._phase("starting Ray")
        ray.init(
            address="local",
            num_cpus=max(FEWEST_CPUS, os.cpu_count() or 1),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=True,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(self._ray_folder),
        )
        if self._stop.is_set():
            return
        self._phase("starting Serve")
        http = config.http_options.model_dump() | {"host": self._host, "port": self._port}
        client = serve_start(http_options=http, proxy_location=config.proxy_location)
        client.deploy_apps(config)
        self._phase("starting the stages")
        self._wait_for_applications([application.name for application in config.applications])

    def _wait_for_applications(self, names: list[str]) -> None:
        """Until every application runs.

        Raises:
            ServerFailed: one cannot be deployed.
        """
        from ray import serve

        while not self._stop.wait(POLL_S):
            found = serve.status().applications
            states = {name: str(found[name].status.value) for name in names if name in found}
            for name, state in states.items():
                if state in ("DEPLOY_FAILED", "UNHEALTHY"):
                    raise ServerFailed(_reason(found[name]))
            if len(states) == len(names) and set(states.values()) == {"RUNNING"}:
                return
            waiting = sorted(_waiting(application) for name, application in found.items() if name in names)
            self._phase("; ".join(filter(None, waiting)) or "starting the stages")

    def _watch(self) -> None:
        """Until told to end. The phase is written again and again: that is what shows it is watching.

        Raises:
            ServerFailed: Ray or Serve is gone.
        """
        from ray import serve

        ray_processes = [c for c in psutil.Process().children() if c.name() in RAY_PROCESSES]
        failed_looks = 0
        while not self._stop.is_set():
            ended = [process.pid for process in ray_processes if not _runs(process)]
            if ended:
                raise ServerFailed(f"a process of Ray has ended ({ended[0]})")
            try:
                serve.status()
                failed_looks = 0
                self._phase(SERVING)
                self._served = True
            except Exception as error:
                failed_looks += 1
                sys.stderr.write(f"Serve does not answer: {type(error).__name__}\n")
                if failed_looks == MOST_FAILED_LOOKS:
                    raise ServerFailed("Serve stopped answering") from error
            self._stop.wait(WATCH_S)

    def _end(self) -> None:
        if "ray" not in sys.modules:
            return
        import ray
        from ray import serve

        if not ray.is_initialized():
            return
        try:
            serve.shutdown()
        finally:
            ray.shutdown()

    def _phase(self, text: str) -> None:
        self._state.write_phase(Phase(text=text))


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _use_own_token(folder: Path) -> None:
    """A token of this instance alone: without it nothing on the machine can submit work to this Ray."""
    path = folder / "ray_token"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def _waiting(application: Any) -> str:
    """Which deployments are not up yet."""
    late = [name for name, d in application.deployments.items() if str(d.status.value) != "HEALTHY"]
    return f"waiting for {', '.join(late)}" if late else ""


def _reason(application: Any) -> str:
    """The last line of the first failing deployment's message, which names the error."""
    for name, deployment in application.deployments.items():
        if deployment.message and str(deployment.status.value) != "HEALTHY":
            return f"{name} did not start: {_last_line(deployment.message)}"
    return f"The graph did not start: {_last_line(application.message)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ERROR_NAME.sub("", lines[-1]) if lines else "no reason was given"


def main(arguments: list[str]) -> None:
    config, host, port, folder, ray_folder = arguments
    state = StateFolder(Path(folder))
    code = Server(Path(config), host, int(port), state, Path(ray_folder)).run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Ray's own end at the exit of the interpreter waits for what may be gone.
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
