"""Statements under the executor's limits: how each ended, after how long, and at what cost of memory."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from deployments.executor.config import ExecutorConfig
from deployments.executor.executor import SqlExecutor
from serve_app.contracts import ValidSql
from serve_app.errors import PlumblineError
from tests.executor_helpers import make_request
from tests.sql_cases import attack_items, validator

# Both are kinds of the attack corpus whose danger is the work they cause.
DOS_CATEGORIES = ("dos", "validator_dos")
POLL_S = 0.005
# However the executor is set, a run that takes longer than this hangs.
HANG_S = 60.0


@dataclass(frozen=True)
class Ended:
    """``seconds`` of wall time until the answer, ``server_seconds`` until the server process was done;
    peaks in bytes of resident memory, shared buffers included.
    """

    how: str
    seconds: float
    server_seconds: float
    server_peak_bytes: int
    client_growth_bytes: int


def dos_items() -> tuple[dict[str, str], ...]:
    return tuple(item for item in attack_items("must_reject") if item["category"] in DOS_CATEGORIES)


def rejected_by(item: dict[str, str]) -> str | None:
    """The rule of the validator that rejects an item; None if it is left to the limits."""
    verdict = validator().validate(item["sql"], item["policy"])
    return None if isinstance(verdict, ValidSql) else verdict.first.rule


async def run_limited(dsn: str, sql: str, config: ExecutorConfig | None = None) -> Ended:
    """Run one statement through an executor of its own and watch both processes."""
    executor = SqlExecutor(dsn, config)
    try:
        (backend,) = (await executor.run(make_request("SELECT pg_backend_pid()"))).rows[0]
        own_before = resident_bytes("self", "VmRSS")
        peaks = {"server": 0, "client": own_before}
        watch = asyncio.create_task(_watch(backend, peaks))
        started = time.monotonic()
        async with asyncio.timeout(HANG_S):
            how = await _outcome(executor, sql)
        seconds = time.monotonic() - started
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        _look(backend, peaks)
    finally:
        await executor.close()
    # Its connection is closed, so the process ends as soon as it looks up from the statement.
    async with asyncio.timeout(HANG_S):
        while resident_bytes(str(backend), "VmRSS"):  # noqa: ASYNC110 - another program's process
            await asyncio.sleep(POLL_S)
    server_seconds = time.monotonic() - started
    return Ended(how, seconds, server_seconds, peaks["server"], peaks["client"] - own_before)


async def _outcome(executor: SqlExecutor, sql: str) -> str:
    try:
        result = await executor.run(make_request(sql))
    except PlumblineError as error:
        detail = " ".join((error.detail or "").split())
        return f"{type(error).__name__}: {detail[:60]}"
    return f"{result.row_count} rows"


async def _watch(backend: int, peaks: dict[str, int]) -> None:
    while True:
        _look(backend, peaks)
        await asyncio.sleep(POLL_S)


def _look(backend: int, peaks: dict[str, int]) -> None:
    peaks["server"] = max(peaks["server"], resident_bytes(str(backend), "VmHWM"))
    peaks["client"] = max(peaks["client"], resident_bytes("self", "VmRSS"))


def resident_bytes(process: str, name: str) -> int:
    """A figure of /proc/PROCESS/status; 0 once the process has ended, or where there is no /proc."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
