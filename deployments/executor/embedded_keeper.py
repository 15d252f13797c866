"""Keeps the embedded server running for as long as an executor needs it: what has died is started again."""

import logging
import threading
from typing import Protocol

from serve_app.errors import PlumblineError

_log = logging.getLogger("plumbline.executor")

WATCH_S = 1.0
# A server that does not stay up is started ever less often.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class Server(Protocol):
    """What is kept running (`EmbeddedPostgres`)."""

    def running_port(self) -> int | None:
        """The port that it listens on; None if it does not run."""
        ...

    def start(self) -> object:
        """Start it unless it runs; raises PlumblineError."""
        ...


class EmbeddedKeeper:
    """Looks after a server from a thread of its own. Several may look after the same one."""

    def __init__(self, server: Server, port: int, watch_s: float = WATCH_S) -> None:
        """``port`` is where the server listens now."""
        self._server = server
        self._port = port
        self._watch_s = watch_s
        self._pause_s = FIRST_PAUSE_S
        self._stop = threading.Event()
        self.has_moved = False
        threading.Thread(target=self._keep, daemon=True, name="embedded-database").start()

    def stop(self) -> None:
        """Look no more; the server goes on."""
        self._stop.set()

    def _keep(self) -> None:
        watched_s = 0.0
        while not self._stop.wait(self._watch_s):
            port = self._server.running_port()
            if port is None:
                self._start_again()
                watched_s = 0.0
                continue
            # Another program took the old port meanwhile.
            self.has_moved = port != self._port
            watched_s += self._watch_s
            if watched_s > LONGEST_PAUSE_S:
                self._pause_s = FIRST_PAUSE_S

    def _start_again(self) -> None:
        _log.warning("the embedded database has ended; it is started again")
        try:
            self._server.start()
        except PlumblineError as error:
            _log.error(
                "the embedded database does not start",
                extra={"error_type": error.type, "error_detail": f"{error.message} {error.detail or ''}"},
            )
        except Exception:
            _log.exception("the embedded database does not start")
        else:
            _log.warning("the embedded database runs again")
        self._stop.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
