"""Ranges of numbers as labels: the CASE of a bucket."""

import re
from itertools import pairwise
from typing import Final

from deployments.prompt_builder.query_spec.compiler.sql import Sql, text_literal

# Digits as PostgreSQL and int() both read them.
PLAIN_NUMBER: Final = re.compile(r"\d+(\.\d*)?", re.ASCII)


def ranges(value: str, bounds: list[str]) -> Sql:
    """Ranges that begin at their bounds."""
    labels = [f"under {_grouped(bounds[0])}"]
    labels += [f"{_grouped(low)}-{_grouped(high)}" for low, high in pairwise(bounds)]
    arms = [
        f"WHEN {value} < {bound} THEN {text_literal(label)}"
        for bound, label in zip(bounds, labels, strict=True)
    ]
    top = text_literal(f"{_grouped(bounds[-1])}+")
    return Sql(f"CASE {' '.join(arms)} WHEN {value} >= {bounds[-1]} THEN {top} END")


def whole_ranges(value: str, bounds: list[int]) -> Sql:
    """Ranges that end at their bounds; what is below zero stands apart, as it does when people say 0-30."""
    arms = [f"WHEN {value} < 0 THEN 'under 0'"]
    for low, high in pairwise((-1, *(bound for bound in bounds if bound != 0))):
        label = f"{_grouped(str(low + 1))}-{_grouped(str(high))}"
        arms.append(f"WHEN {value} <= {high} THEN {text_literal(label)}")
    top = text_literal(f"{_grouped(str(bounds[-1]))}+")
    return Sql(f"CASE {' '.join(arms)} WHEN {value} > {bounds[-1]} THEN {top} END")


def _grouped(number: str) -> str:
    """A bound as people say it: 5M, 10k, 1,250."""
    whole, dot, fraction = number.partition(".")
    if int(whole) and not fraction.strip("0"):
        for factor, letter in ((1_000_000, "M"), (1_000, "k")):
            if int(whole) % factor == 0:
                return f"{int(whole) // factor}{letter}"
    return f"{int(whole):,}{dot}{fraction}"
