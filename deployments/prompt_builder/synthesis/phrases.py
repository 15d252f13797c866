"""Phrase data: how people put the tables of a domain into sentences.

``phrases/<table>.yaml`` of a domain pack holds a `TablePhrases`; what it leaves out is filled from the pack's
terms and from the English of ``english/*.yaml``. All phrases are templates (`templates`). Holes: ``{v}`` a
value's word, ``{n}`` a number, ``{d}`` a date expression, ``{post}`` all conditions not yet said, ``{t.c}``
the value of a condition on that column.
"""

from functools import cache, lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

ENGLISH_FOLDER = Path(__file__).parent / "english"


class PhraseModel(BaseModel):
    """Base of every part of a phrase file: a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasurePhrases(PhraseModel):
    """Ways to say one aggregate of one column: nouns ("total spend") and whole questions ("what did we spend
    {post}").
    """

    nouns: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    least: tuple[str, ...] = ()


class ColumnPhrases(PhraseModel):
    """``usage``: a ``state`` is said of a row ("is pending"), a ``kind`` names it ("permit fees"), a
    ``person`` is one.
    """

    usage: str | None = None
    terms: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    nots: tuple[str, ...] = ()
    words: dict[str, tuple[str, ...]] = {}
    heads: dict[str, tuple[str, ...]] = {}
    clauses: dict[str, tuple[str, ...]] = {}
    not_clauses: dict[str, tuple[str, ...]] = {}
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    largest: tuple[str, ...] = ()
    smallest: tuple[str, ...] = ()
    null: tuple[str, ...] = ()
    not_null: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    sum: MeasurePhrases = MeasurePhrases()
    avg: MeasurePhrases = MeasurePhrases()
    min: MeasurePhrases = MeasurePhrases()
    max: MeasurePhrases = MeasurePhrases()
    median: MeasurePhrases = MeasurePhrases()
    count: MeasurePhrases = MeasurePhrases()


class DerivedPhrases(PhraseModel):
    """A predicate's clauses follow "that"; adjectives stand before the noun; ``nots`` are its denials."""

    adjectives: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    nots: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    largest: tuple[str, ...] = ()
    smallest: tuple[str, ...] = ()


class FormulaPhrases(PhraseModel):
    """A measure made of aggregates, in the query specification's language: "(sum(a) / sum(b))"."""

    expression: str
    nouns: tuple[str, ...]
    asks: tuple[str, ...] = ()


class TablePhrases(PhraseModel):
    """Phrases about the rows of one table.

    ``mass`` nouns do not name rows; ``persons``: a dimension and the lookup column whose words can name its
    members; ``dims``: further nouns of a dimension when this table is counted; ``entities``: a name column
    and what it fixes.
    """

    singular: tuple[str, ...] = ()
    plural: tuple[str, ...] = ()
    links: dict[str, tuple[str, ...]] = {}
    lists: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    who: dict[str, tuple[str, ...]] = {}
    distincts: dict[str, tuple[str, ...]] = {}
    ranks: dict[str, dict[str, tuple[str, ...]]] = {}
    columns: dict[str, ColumnPhrases] = {}
    derived: dict[str, DerivedPhrases] = {}
    lasts: tuple[str, ...] = ()
    mass: tuple[str, ...] = ()
    persons: dict[str, str] = {}
    dims: dict[str, tuple[str, ...]] = {}
    entities: dict[str, tuple[str, ...]] = {}
    formulas: tuple["FormulaPhrases", ...] = ()


@lru_cache(maxsize=8)
def load_phrases(folder: Path) -> dict[str, TablePhrases]:
    """Table -> phrases, of a domain pack's folder; no files is no phrases.

    Raises:
        pydantic.ValidationError: a file does not fit the model.
    """
    return {
        path.stem: TablePhrases.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        for path in sorted((folder / "phrases").glob("*.yaml"))
        if path.stem != "unanswerable"
    }


@cache
def english(name: str) -> dict[str, tuple[str, ...]]:
    """Lists of phrases that hold in every domain, from ``english/<name>.yaml``."""
    raw = yaml.safe_load((ENGLISH_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return {k: tuple(str(phrase) for phrase in phrases) for k, phrases in raw.items()}
