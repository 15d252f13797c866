"""The processes of one instance, also those that lost their parent: each has the instance's mark."""

import os
from collections.abc import Iterable

import psutil

# A variable of the environment, which children inherit; the embedded database's processes are without it.
# It is no setting, so it has not their prefix.
MARK = "INSTANCE_OF_PLUMBLINE"
KILL_TIMEOUT_S = 10.0


def processes_of(mark: str) -> list[psutil.Process]:
    """All processes with this mark but the one that asks."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _mark(p) == mark]


def _mark(process: psutil.Process) -> str | None:
    try:
        found: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):
        # Another user's, or gone meanwhile.
        return None
    return found


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill what is left of the processes, and wait until it is gone."""
    left = list(processes)
    for process in left:
        # psutil compares start times, so a reused id is never hit.
        if process.is_running():
            process.kill()
    psutil.wait_procs(left, timeout=KILL_TIMEOUT_S)
