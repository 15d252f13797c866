"""The statements of a fuzzing run: batch by batch, the same for the same seed."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz.grammar import Grammar
from tests.fuzz.mutations import mutate
from tests.sql_cases import QueryMaker, attack_items

DATA = Path(__file__).parents[1] / "data" / "sql_safety"
# Longer ones would take most of the time and say nothing about names.
_LONGEST_SEED = 1_500
_GENERATED_SEEDS = 2_000

# Share of statements by where they come from; what remains are mutations of generated ones.
_GRAMMAR, _COLLIDING, _MUTATED_ANALYSES, _MUTATED_ATTACKS = 0.22, 0.10, 0.30, 0.23


class Statement(NamedTuple):
    """One statement to try and the policy to try it under."""

    sql: str
    policy: str


@cache
def _corpus(verdict: str) -> tuple[str, ...]:
    texts = [str(item["sql"]) for item in attack_items(verdict)]
    if verdict == "must_accept":
        texts += [p.strip() for p in (DATA / "analyses.sql").read_text(encoding="utf-8").split("\n\n")[1:]]
    return tuple(text for text in texts if len(text) <= _LONGEST_SEED)


@cache
def _generated() -> tuple[str, ...]:
    """Fixed harmless statements to mutate."""
    grammar = Grammar(Random(4), danger=0.0)
    return tuple(grammar.statement() for _ in range(_GENERATED_SEEDS))


def batch(seed: int, number: int, size: int) -> Iterator[Statement]:
    """The ``size`` statements of one batch."""
    random = Random(f"{seed}:{number}")
    grammar = Grammar(random)
    for _ in range(size):
        yield Statement(_text(random, grammar), "restricted" if random.random() < 0.6 else "default")


def _text(random: Random, grammar: Grammar) -> str:
    roll = random.random()
    if roll < _GRAMMAR:
        return grammar.statement()
    roll -= _GRAMMAR
    if roll < _COLLIDING:
        return QueryMaker(random, random.choice((0, 1, 2))).query()
    roll -= _COLLIDING
    accepts, rejects = _corpus("must_accept"), _corpus("must_reject")
    if roll < _MUTATED_ANALYSES:
        return mutate(random, random.choice(accepts), random.choice(accepts + rejects))
    if roll - _MUTATED_ANALYSES < _MUTATED_ATTACKS:
        return mutate(random, random.choice(rejects), random.choice(accepts))
    return mutate(random, random.choice(_generated()), random.choice(_generated() + rejects))
