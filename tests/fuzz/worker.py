"""A process that makes, validates and judges batches of statements.

The kernel is its watchdog: a statement that takes more processor time than allowed ends the process with
SIGPROF, even inside a parser's C code. The coordinator then knows the statement from the shared counter.
"""

import asyncio
import hashlib
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import asyncpg

from deployments.sql_validator.validator import Validator
from serve_app.contracts import ValidSql
from tests.fuzz.oracle import Catalog, Oracle
from tests.fuzz.statements import Statement, batch
from tests.sql_cases import validator

READY = "ready"
POLICIES = ("default", "restricted")


@dataclass
class Report:
    """What one batch came to. ``slowest_s`` is processor time."""

    number: int
    generated: int = 0
    digests: list[int] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    accepted_digests: list[int] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""


@dataclass(frozen=True)
class Task:
    """What a worker is told: the statements from ``first`` to before ``size`` of one batch."""

    seed: int
    number: int
    size: int
    first: int = 0


def digest(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def failure(kind: str, statement: Statement, detail: str, written: str = "") -> dict[str, Any]:
    return {
        "kind": kind,
        "sql": statement.sql,
        "policy": statement.policy,
        "written": written,
        "detail": detail,
    }


class Worker:
    """Everything that a batch needs, set up once a process."""

    def __init__(self, counter: Any, limit_s: float) -> None:
        self._validator: Validator = validator()
        self._counter = counter
        self._limit_s = limit_s
        self._judged: set[int] = set()
        self._oracles: dict[str, Oracle] = {}

    async def connect(self, admin_dsn: str, dsns: Mapping[str, str]) -> None:
        admin = await asyncpg.connect(admin_dsn)
        try:
            catalog = await Catalog.read(admin)
        finally:
            await admin.close()
        for policy, dsn in dsns.items():
            rights = self._validator.policies.rights(policy, None)
            self._oracles[policy] = await Oracle.connect(dsn, catalog, rights)

    async def run(self, task: Task) -> Report:
        report = Report(task.number)
        accepted: list[tuple[int, Statement, str]] = []
        for place, statement in enumerate(batch(task.seed, task.number, task.size)):
            if place < task.first:
                continue
            self._counter.value = place
            verdict_sql = self._validate(statement, report)
            if verdict_sql is not None:
                accepted.append((place, statement, verdict_sql))
        for place, statement, written in accepted:
            key = digest(f"{statement.policy} {written}")
            if key not in self._judged:
                self._judged.add(key)
                report.accepted_digests.append(key)
                self._counter.value = place
                await self._judge(statement, written, report)
        return report

    def _validate(self, statement: Statement, report: Report) -> str | None:
        signal.setitimer(signal.ITIMER_PROF, self._limit_s)
        began = time.process_time()
        verdict = self._validator.validate(*statement)
        used = time.process_time() - began
        signal.setitimer(signal.ITIMER_PROF, 0)
        report.generated += 1
        report.digests.append(digest(statement.sql))
        if used > report.slowest_s:
            report.slowest_s, report.slowest = used, statement.sql[:300]
        if isinstance(verdict, ValidSql):
            report.accepted += 1
            return verdict.sql
        report.rules[verdict.first.rule] += 1
        if verdict.first.rule == "internal":
            report.failures.append(failure("exception", statement, verdict.first.reason))
        return None

    async def _judge(self, statement: Statement, written: str, report: Report) -> None:
        again = self._validator.validate(written, statement.policy)
        if not isinstance(again, ValidSql) or again.sql != written:
            detail = again.sql if isinstance(again, ValidSql) else again.first.reason
            report.failures.append(failure("reads differently again", statement, detail, written))
        state, broken = await self._oracles[statement.policy].judge(written)
        report.states[state] += 1
        if broken:
            report.failures.append(failure("outside the policy", statement, "; ".join(broken), written))


def serve(pipe: Connection, counter: Any, limit_s: float, admin_dsn: str, dsns: Mapping[str, str]) -> None:
    """Say READY, then answer tasks with reports until None comes. Runs in a process of its own."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def loop() -> None:
        worker = Worker(counter, limit_s)
        await worker.connect(admin_dsn, dsns)
        pipe.send(READY)
        while (task := pipe.recv()) is not None:
            pipe.send(await worker.run(task))

    asyncio.run(loop())
