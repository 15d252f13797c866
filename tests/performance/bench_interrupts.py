"""What of the policy PostgreSQL cannot interrupt: ``python -m tests.performance.bench_interrupts [NAME …]``.

Every overload of every function, operator and cast of the base policy, and what the grammar calls without a
name, is called with long arguments made for its worst case, one row each, under ``statement_timeout`` on a
server of its own. A call that is still running some time after the timeout never looked whether it should
stop; its process is killed.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import asyncpg

from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres
from tests.limited_runs import resident_bytes
from tests.performance.adversaries import ARGUMENTS, FORMS, source, type_group
from tests.postgres_fixture import make_state_folder
from tests.sql_cases import validator

TIMEOUT_S = 2.0
# As for the attack corpus.
MOST_S, MOST_BYTES = 2.5, 600_000_000
# Long enough to tell a late interrupt from none on a busy machine.
KILL_S = 6.0
MOST_COMBINATIONS = 80
# After this time with all combinations so far a group is left: none of them was beyond.
GROUP_S = 15.0
# Quicker ones are not worth a line.
TOLD_S = 0.5

OVERLOADS = """
    SELECT p.proname AS name, p.oid::regprocedure::text AS signature, p.proretset AS returns_set,
           p.provariadic <> 0 AS variadic,
           ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a(t, n)
                 ORDER BY n) AS types
    FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname = ANY($1)
    ORDER BY p.proname, p.oid
"""
OPERATORS = """
    SELECT oprname AS name, oprleft = 0 AS prefix,
           CASE WHEN oprleft = 0 THEN ARRAY[format_type(oprright, NULL)]
                ELSE ARRAY[format_type(oprleft, NULL), format_type(oprright, NULL)] END AS types
    FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprname = ANY($1) ORDER BY oid
"""


@dataclass(frozen=True)
class Call:
    """One expression over the adversaries' values; ``group``: what it is a case of."""

    group: str
    sql: str
    in_from: bool = False

    @property
    def statement(self) -> str:
        if self.in_from:
            return f"SELECT count(*) FROM {source(self.sql)}, {self.sql} AS called"
        return (
            f"SELECT count(called) FROM (SELECT {self.sql} AS called FROM {source(self.sql)} OFFSET 0) calls"
        )


@dataclass(frozen=True)
class Measured:
    """``seconds`` until the server answered, or until its process was killed; ``peak_bytes`` resident."""

    group: str
    sql: str
    seconds: float
    peak_bytes: int
    ending: str

    @property
    def beyond(self) -> bool:
        return self.seconds > MOST_S or self.peak_bytes > MOST_BYTES


async def calls(admin: "asyncpg.Connection[asyncpg.Record]") -> list[Call]:
    """Every call worth making of what the base policy lists."""
    policy = validator().policies.policy("base")
    names = [*policy.functions, *policy.set_returning_functions]
    found: list[Call] = []
    for overload in await admin.fetch(OVERLOADS, names):
        name = f'pg_catalog."{overload["name"]}"'
        for values in combinations(overload["types"], overload["variadic"]):
            written = f"{name}({', '.join(values)})"
            found.append(Call(overload["signature"], written, overload["returns_set"]))
    for operator in await admin.fetch(OPERATORS, list(policy.operators)):
        group = f"{operator['name']}({','.join(operator['types'])})"
        for values in combinations(operator["types"], False):
            sides = values if not operator["prefix"] else ("", *values)
            found.append(Call(group, f"{sides[0]} {operator['name']} {sides[1]}"))
    groups = {type_group(target) for target in policy.types}
    for target, group in product(policy.types, sorted(groups)):
        found += [Call(f"{group}::{target}", f"({value})::{target}") for value in ARGUMENTS.get(group, ())]
    return found + [Call(form, form) for form in FORMS]


def combinations(types: Sequence[str], variadic: bool) -> Iterator[tuple[str, ...]]:
    """Adversarial values for arguments of these types; none if there is nothing long of one of them."""
    given = [t.removesuffix("[]") if variadic and i == len(types) - 1 else t for i, t in enumerate(types)]
    menus = [ARGUMENTS.get(type_group(t), ()) for t in given]
    return islice(product(*menus), MOST_COMBINATIONS)


class Runner:
    """Runs calls on one connection, which it replaces when the server process had to be killed."""

    def __init__(self, database: EmbeddedDatabase) -> None:
        self._dsn = database.dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._backend = 0

    async def measure(self, call: Call) -> Measured:
        connection = await self._connected()
        started = time.monotonic()
        task = asyncio.ensure_future(connection.fetchval(call.statement, timeout=None))
        done, _ = await asyncio.wait([task], timeout=KILL_S)
        peak = resident_bytes(str(self._backend), "VmHWM")
        if not done:
            await self._kill()
        ending = "answered"
        try:
            await task
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            ending = type(error).__name__
        seconds = time.monotonic() - started
        if peak > MOST_BYTES // 2 or not done or connection.is_closed():
            await self.close()
        return Measured(call.group, call.sql, seconds, peak, ending if done else "killed")

    async def close(self) -> None:
        if self._connection is not None:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._connection.close(timeout=1)
        self._connection = None

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        while self._connection is None:
            # After a kill the server goes through its log first.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await asyncpg.connect(self._dsn, statement_cache_size=0)
                await connection.execute(
                    f"SET statement_timeout = {TIMEOUT_S * 1000:.0f}; SET jit = off; "
                    "SET max_parallel_workers_per_gather = 0"
                )
                self._backend = connection.get_server_pid()
                self._connection = connection
                break
            await asyncio.sleep(0.05)
        return self._connection

    async def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._backend, signal.SIGKILL)


async def measure(database: EmbeddedDatabase, chosen: Sequence[str]) -> list[Measured]:
    """The slowest call of each group; a group is left at the first call beyond the limits."""
    admin = await asyncpg.connect(database.admin_dsn)
    wanted = [c for c in await calls(admin) if not chosen or any(part in c.group for part in chosen)]
    await admin.close()
    runner = Runner(database)
    worst: dict[str, Measured] = {}
    spent: dict[str, float] = defaultdict(float)
    for call in wanted:
        before = worst.get(call.group)
        if before is not None and (before.beyond or spent[call.group] > GROUP_S):
            continue
        found = await runner.measure(call)
        spent[call.group] += found.seconds
        if before is None or found.seconds > before.seconds or found.beyond:
            worst[call.group] = found
        if found.beyond or found.seconds > TOLD_S:
            print(told(found), flush=True)
    await runner.close()
    return sorted(worst.values(), key=lambda m: -m.seconds)


def rounded(found: Measured) -> dict[str, str | float | bool]:
    return vars(found) | {"seconds": round(found.seconds, 2), "beyond": found.beyond}


def told(found: Measured) -> str:
    beyond = " BEYOND" if found.beyond else ""
    figures = f"{found.seconds:6.2f} s {found.peak_bytes / 1e6:5.0f} MB"
    return f"  {found.group:<44} {figures}  {found.ending}{beyond}  {found.sql}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only what has this in its signature")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures of the slow groups there"
    )
    options = parser.parse_args(arguments)
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        print("\nCalls that took half a second or more: wall time, peak of the server process, ending")
        found = asyncio.run(measure(server.start(), options.names))
        print(f"\n{len(found)} functions, operators, casts and forms; {sum(m.beyond for m in found)} beyond")
        if options.json:
            slow = [m for m in found if m.beyond or m.seconds > TOLD_S]
            lines = [json.dumps(rounded(m)) for m in slow]
            options.json.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
