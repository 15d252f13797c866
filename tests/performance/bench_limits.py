"""Attacks on resources under the limits: ``python -m tests.performance.bench_limits [--unchecked]``.

Each dos item of the attack corpus that the validator lets pass runs through the executor with its defaults,
as the embedded database's restricted role. ``--unchecked`` runs them all as if there were no validator.
"""

import argparse
import asyncio
import shutil
from collections.abc import Sequence

from deployments.executor.embedded import EmbeddedPostgres
from serve_app.contracts import ValidSql
from tests.limited_runs import Ended, dos_items, rejected_by, run_limited
from tests.postgres_fixture import make_state_folder
from tests.sql_cases import attack_items, validator

MEGABYTE = 1_000_000
# What a dos item may take.
MOST_S, MOST_BYTES = 2.5, 600 * MEGABYTE


def told(name: str, ended: Ended) -> str:
    beyond = " BEYOND" if ended.server_seconds > MOST_S or ended.server_peak_bytes > MOST_BYTES else ""
    figures = (
        f"{ended.seconds:6.2f} s  {ended.server_seconds:6.2f} s  "
        f"{ended.server_peak_bytes / MEGABYTE:5.0f} MB  {ended.client_growth_bytes / MEGABYTE:+5.0f} MB"
    )
    return f"  {name:<22} {figures}  {ended.how}{beyond}"


async def measure_attacks(dsn: str, unchecked: bool) -> list[Ended]:
    runs = []
    for item in dos_items():
        rule = rejected_by(item)
        if rule is not None and not unchecked:
            print(f"  {item['id']:<22} rejected by {rule}", flush=True)
            continue
        sql = item["sql"] if unchecked else accepted_text(item)
        runs.append(await run_limited(dsn, sql))
        print(told(f"{item['id']} {item['category']}", runs[-1]), flush=True)
    return runs


async def measure_analyses(dsn: str) -> list[Ended]:
    """What must be accepted, for comparison; only those that did not give rows are told one by one."""
    runs = []
    for item in attack_items("must_accept"):
        runs.append(await run_limited(dsn, accepted_text(item)))
        if not runs[-1].how.endswith(" rows"):
            print(told(item["id"], runs[-1]), flush=True)
    return runs


def accepted_text(item: dict[str, str]) -> str:
    verdict = validator().validate(item["sql"], item["policy"])
    if not isinstance(verdict, ValidSql):
        raise SystemExit(f"{item['id']} is rejected by {verdict.first.rule}")
    return verdict.sql


def summary(name: str, runs: Sequence[Ended]) -> None:
    if runs:
        slowest, widest = max(r.server_seconds for r in runs), max(r.server_peak_bytes for r in runs)
        rows = sum(r.how.endswith(" rows") for r in runs)
        print(
            f"{name}: {len(runs)} run, {rows} gave rows; at most {slowest:.2f} s, "
            f"{widest / MEGABYTE:.0f} MB in the server process"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--unchecked", action="store_true", help="without the validator")
    options = parser.parse_args(arguments)
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    try:
        dsn = server.start().dsn
        print(
            "\nAttacks on resources: wall time, until the server was done, peak of its process, "
            "growth of this one, ending"
        )
        attacks = asyncio.run(measure_attacks(dsn, options.unchecked))
        print("\nAnalyses that must run")
        analyses = asyncio.run(measure_analyses(dsn))
        summary("\nattacks", attacks)
        summary("analyses", analyses)
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
