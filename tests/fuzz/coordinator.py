"""Hands batches to workers, replaces those that die, and adds up their reports."""

import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from tests.fuzz.statements import batch
from tests.fuzz.worker import READY, Report, Task, failure, serve

BATCH = 500
# A batch takes a second or two; on a busy machine, at the lowest priority, it may take many minutes.
_STUCK_S = 3600.0
_MOST_FAILURES = 50


@dataclass(frozen=True)
class Plan:
    """One run. It ends after ``statements`` or ``minutes``, whichever comes first."""

    seed: int
    statements: int
    minutes: float
    workers: int
    limit_s: float = 1.0


@dataclass
class Totals:
    """Sums over all batches."""

    generated: int = 0
    digests: set[int] = field(default_factory=set)
    accepted: int = 0
    accepted_digests: set[int] = field(default_factory=set)
    rules: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""

    def add(self, report: Report) -> None:
        self.generated += report.generated
        self.digests.update(report.digests)
        self.accepted += report.accepted
        self.accepted_digests.update(report.accepted_digests)
        self.rules += report.rules
        self.states += report.states
        for found in report.failures:
            self.fail(found)
        if report.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = report.slowest_s, report.slowest

    def fail(self, found: dict[str, Any]) -> None:
        self.kinds[found["kind"]] += 1
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(found)


class Slot:
    """One worker process, what it is busy with, and what it has still to do before new tasks."""

    def __init__(self, plan: Plan, admin_dsn: str, dsns: Mapping[str, str]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._arguments = (plan.limit_s, admin_dsn, dict(dsns))
        self.task: Task | None = None
        self.pending: list[Task] = []
        self._start()

    def _start(self) -> None:
        self._counter: Any = self._context.RawValue("L", 0)
        self.pipe: Connection
        self.pipe, theirs = self._context.Pipe()
        self._process: BaseProcess = self._context.Process(
            target=serve, args=(theirs, self._counter, *self._arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Raises RuntimeError if the process cannot start; its own words are on standard error."""
        try:
            assert self.pipe.recv() == READY
        except EOFError as fault:
            raise RuntimeError("a worker of the fuzzer could not start") from fault

    def give(self, tasks: Iterator[Task], in_time: bool) -> None:
        """The next task, if there is one and still time for it."""
        self.task = self.pending.pop() if self.pending else next(tasks, None) if in_time else None
        if self.task is not None:
            self._counter.value = self.task.first
            self._since = time.monotonic()
            self.pipe.send(self.task)

    @property
    def process_id(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def kill_if_stuck(self) -> None:
        if time.monotonic() - self._since > _STUCK_S:
            self._process.kill()

    def bury(self) -> dict[str, Any]:
        """Replace a dead process; gives the failure. What it had not reported is to be done again."""
        assert self.task is not None
        self._process.join()
        place, code, task = int(self._counter.value), self._process.exitcode or 0, self.task
        rest = [replace(task, first=place + 1), replace(task, size=place)]
        self.pending += [part for part in rest if part.first < part.size]
        statement = list(batch(task.seed, task.number, place + 1))[-1]
        self._start()
        self.wait_until_ready()
        if code == -signal.SIGPROF:
            return failure("hang", statement, "more processor time than allowed")
        return failure("crash", statement, f"exit status {code}")

    def stop(self) -> None:
        if self._process.is_alive() and self.task is None:
            self.pipe.send(None)
            self._process.join(10)
        self._process.kill()
        self._process.join()


def run(
    plan: Plan, admin_dsn: str, dsns: Mapping[str, str], progress: Callable[[Totals], None] = lambda _: None
) -> Totals:
    """The whole run; ``progress`` is called after every batch."""
    totals = Totals()
    deadline = time.monotonic() + plan.minutes * 60
    slots = [Slot(plan, admin_dsn, dsns) for _ in range(plan.workers)]
    tasks = _tasks(plan)
    try:
        for slot in slots:
            slot.wait_until_ready()
            slot.give(tasks, True)
        while busy := [slot for slot in slots if slot.task is not None]:
            ready = wait([slot.pipe for slot in busy], timeout=5.0)
            for slot in busy:
                if slot.pipe not in ready:
                    slot.kill_if_stuck()
                    continue
                try:
                    totals.add(slot.pipe.recv())
                    progress(totals)
                except (EOFError, ConnectionResetError):
                    totals.fail(slot.bury())
                    totals.generated += 1
                slot.give(tasks, time.monotonic() < deadline)
    finally:
        for slot in slots:
            slot.stop()
    return totals


def _tasks(plan: Plan) -> Iterator[Task]:
    whole, rest = divmod(plan.statements, BATCH)
    for number in range(whole):
        yield Task(plan.seed, number, BATCH)
    if rest:
        yield Task(plan.seed, whole, rest)
