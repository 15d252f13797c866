"""Time of the validator on the corpus: ``python -m tests.performance.bench_validator``."""

import argparse
import time
from collections.abc import Sequence

from tests.performance.figures import heading, line, percentile
from tests.sql_cases import attack_items, validator

VERDICTS = ("must_accept", "must_reject")


def measure(verdict: str, rounds: int) -> None:
    items = attack_items(verdict)
    wall: list[float] = []
    processor: list[float] = []
    for number in range(rounds + 1):
        for item in items:
            began, used = time.perf_counter(), time.process_time()
            validator().validate(item["sql"], item["policy"])
            # The first round fills caches.
            if number:
                processor.append(time.process_time() - used)
                wall.append(time.perf_counter() - began)
    for name, calls_s in (("wall", wall), ("processor", processor)):
        tail = f"p99 {percentile(sorted(calls_s), 0.99) * 1e3:.2f} ms, {len(items)} statements"
        line(f"{verdict.removeprefix('must_')}, {name}", calls_s, sum(calls_s), tail)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="times each statement is validated")
    rounds = parser.parse_args(arguments).rounds
    heading("Validator, one thread")
    for verdict in VERDICTS:
        measure(verdict, rounds)


if __name__ == "__main__":
    main()
