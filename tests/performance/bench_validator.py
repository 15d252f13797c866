"""Time of the validator on the corpus: ``python -m tests.performance.bench_validator``."""

import argparse
import time

from tests.sql_cases import attack_items, validator


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="times each statement is validated")
    rounds = parser.parse_args().rounds
    items = attack_items("must_accept")
    for item in items:
        validator().validate(item["sql"], item["policy"])
    wall: list[float] = []
    processor: list[float] = []
    for _ in range(rounds):
        for item in items:
            began, used = time.perf_counter(), time.process_time()
            validator().validate(item["sql"], item["policy"])
            processor.append(time.process_time() - used)
            wall.append(time.perf_counter() - began)
    print(f"{len(items)} statements, {rounds} rounds, one thread, milliseconds")
    for name, times in (("wall", sorted(wall)), ("processor", sorted(processor))):
        print(f"{name:>10}: p50 {percentile(times, 0.5) * 1e3:.2f}  p99 {percentile(times, 0.99) * 1e3:.2f}")


if __name__ == "__main__":
    main()
