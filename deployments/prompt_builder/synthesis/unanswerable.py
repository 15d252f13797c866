"""Requests that the data cannot answer: the model must say so instead of guessing."""

import random
from functools import lru_cache
from pathlib import Path

import yaml

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.surfaces import date_text, name_slot
from deployments.prompt_builder.synthesis.templates import template

_FILLERS = ("junk", "word", "place", "n")


@lru_cache(maxsize=8)
def _requests(folder: Path) -> tuple[tuple[str, ...], ...]:
    """Groups of requests: those of any business, then the domain's own. Each group is drawn alike often."""
    groups = [phrases for name, phrases in english("unanswerable").items() if name not in _FILLERS]
    path = folder / "phrases" / "unanswerable.yaml"
    own = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return (*groups, *(tuple(str(p) for p in phrases) for phrases in own.values()))


def request(rng: random.Random, lexicon: Lexicon, folder: Path, year: int) -> str:
    """One request without an answer, with names and nouns of the schema in it."""
    source = template(rng.choice(rng.choice(_requests(folder))))
    table = rng.choice(list(lexicon.world.tables))
    fillers: dict[str, str] = {
        "thing": lexicon.noun(rng, table, plural=False),
        "things": lexicon.noun(rng, table),
        "date": date_text(rng, "past", year),
    }
    for hole in source.holes & {"name", "name2"}:
        fillers[hole] = _name(rng, lexicon)
    words = english("unanswerable")
    fillers.update({hole: rng.choice(words[hole]) for hole in source.holes & set(_FILLERS)})
    return " ".join(source.render(rng, fillers).split())


def _name(rng: random.Random, lexicon: Lexicon) -> str:
    """A stored name of a labelled thing or a person-like column; a place where nothing has a name."""
    fields = [
        f
        for info in lexicon.world.tables.values()
        for f in info.of_role("name")
        if f.values and not f.nullable and info.label in (f.name, None)
    ]
    if not fields:
        return rng.choice(english("unanswerable")["place"])
    column = rng.choice(fields)
    return name_slot(rng, column, rng.choice(column.values)).surface
