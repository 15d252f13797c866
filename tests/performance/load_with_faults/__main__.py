"""Mixed load with faults on an instance of its own.

    python -m tests.performance.load_with_faults --minutes 10

Shows its progress, writes the figures as JSON and ends with status 1 if a claim does not hold.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.server import fingerprint
from tests.performance.load_with_faults import report
from tests.performance.load_with_faults.calm import Choice, ask_calmly
from tests.performance.load_with_faults.client import DEADLINE_S, LONGEST_S, Client
from tests.performance.load_with_faults.faults import Fault, Faults, let_happen, lines_of
from tests.performance.load_with_faults.instance import Instance, NotRecovered, NotStarted, own_instance
from tests.performance.load_with_faults.ledger import Ledger, read_store
from tests.performance.load_with_faults.record import Record
from tests.performance.load_with_faults.traffic import Material, Visitor

PROGRESS_S = 15.0
RUDE_CLIENTS = 2
# Start, calm pass and end take less; beyond midnight "today" would be another day.
MARGIN = timedelta(minutes=15)


def told(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


async def run(instance: Instance, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The calm pass and the load; the figures but for what only the ended instance can tell."""
    rng = Random(seed)
    before = await fingerprint(instance.database.admin_dsn)
    record, ledger = Record(DEADLINE_S), Ledger()
    client = Client(instance.url, "calm", record)
    choice = Choice(options.questions)
    material, calm = await ask_calmly(client, ledger, instance.database.dsn, choice, rng, told)
    await client.close()
    told(f"kept: {calm}")
    recovered = await _load(instance, options, record, ledger, material, rng)
    unchanged = await fingerprint(instance.database.admin_dsn) == before
    await asyncio.to_thread(instance.operator.run, "down")
    lost = ledger.problems(*await asyncio.to_thread(read_store, instance.store))
    found = report.figures(record, ledger, lost)
    _explain(instance, found)
    return {"calm": calm, **found, "recovered": recovered, "database_unchanged": unchanged}


def _explain(instance: Instance, found: dict[str, Any]) -> None:
    """Put what the instance logged of a call beside the evidence: its logs go with it."""
    evidence = [*found["unexplained_failures"], *found["undocumented_failures"], *found["wrong_answers"]]
    for call in evidence:
        call["log"] = instance.log_of(call["request_id"])


async def _load(
    instance: Instance,
    options: argparse.Namespace,
    record: Record,
    ledger: Ledger,
    material: Material,
    rng: Random,
) -> bool:
    """Whether the instance got ready again after every fault."""
    stop = asyncio.Event()
    ends = time.monotonic() + options.minutes * 60
    visitors = [
        _visitor(instance, name, record, ledger, material, rng)
        for name in ("burst", *(f"visitor{n}" for n in range(options.clients)))
    ]
    burster, *regular = visitors
    rude = [_visitor(instance, f"rude{n}", record, ledger, material, rng) for n in range(RUDE_CLIENTS)]
    faults = _chosen(Faults(instance, rng).all(), options.faults)
    progress = asyncio.create_task(_show(record))
    recovered = True
    async with asyncio.TaskGroup() as load:
        load.create_task(burster.visit_in_bursts(stop))
        for visitor in regular:
            load.create_task(visitor.visit(stop))
        for visitor in rude:
            load.create_task(visitor.be_rude(stop))
        lines = [
            let_happen(line, record, Random(rng.random()), ends, told)
            for line in lines_of(faults, options.overlap)
        ]
        for ended in await asyncio.gather(*lines, return_exceptions=True):
            if isinstance(ended, NotRecovered):
                told(str(ended))
                recovered = False
            elif isinstance(ended, BaseException):
                raise ended
        if recovered:
            await asyncio.sleep(max(0.0, ends - time.monotonic()))
        stop.set()
        told(f"the clients finish, within {LONGEST_S:g} s")
    progress.cancel()
    return recovered


def _visitor(
    instance: Instance, name: str, record: Record, ledger: Ledger, material: Material, rng: Random
) -> Visitor:
    client = Client(instance.url, name, record)
    return Visitor(client, instance.url, material, ledger, Random(rng.random()))


def _chosen(faults: Sequence[Fault], wanted: str | None) -> list[Fault]:
    return [fault for fault in faults if wanted is None or wanted.lower() in fault.name.lower()]


async def _show(record: Record) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        verdict = record.verdict()
        told(
            f"  {len(record.endings):,} calls  {record.compared:,} compared  {len(record.wrong)} wrong  "
            f"{len(record.undocumented)} undocumented  errors in faults {sum(verdict.inside.values())}, "
            f"bursts {sum(verdict.in_bursts.values())}, otherwise {dict(verdict.outside)}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; gives the exit status."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    if (now + timedelta(minutes=options.minutes) + MARGIN).date() != now.date():
        print(
            "The day ends during the run, and with it the answers of today; start it later.", file=sys.stderr
        )
        return 2
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    told(f"--seed {seed} --minutes {options.minutes:g}")
    # A run that is told to end stops its instance first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    known = {
        "seed": seed,
        "minutes": options.minutes,
        "overlap": options.overlap,
        "clients": options.clients,
        "machine": report.machine(),
    }
    try:
        with own_instance() as instance:
            told(f"ready at {instance.url}")
            found = known | asyncio.run(run(instance, options, seed))
    except NotStarted as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        told("ended before its time; nothing is left running")
        return 128 + signal.SIGINT
    found["claims"] = report.claims(found)
    text = json.dumps(found, indent=1) + "\n"
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    print(text)
    return 0 if all(found["claims"].values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.load_with_faults", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of load, after the calm pass (10)")
    parser.add_argument("--seed", type=int, help="draws as an earlier run did; drawn and shown if not given")
    parser.add_argument("--clients", type=int, default=6, help="that ask at the same time (6)")
    parser.add_argument("--questions", type=int, help="of each file, for a short run; default: all")
    parser.add_argument("--faults", help="only those with this in their name")
    parser.add_argument(
        "--overlap", action="store_true", help="a fault of the database beside one of another part"
    )
    parser.add_argument("--output", type=Path, help="file for the figures, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
