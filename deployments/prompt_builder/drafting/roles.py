"""The role of a column, guessed from its type, keys, statistics, values and the words of its name.

Everything here is a guess that a person reads afterwards, so the order of the rules goes from what the
database states (keys, enums, checks) to what only the name suggests.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployments.prompt_builder.domain import ColumnTerms, Role
from deployments.prompt_builder.drafting.hints import DraftingHints
from deployments.prompt_builder.drafting.names import words_of
from deployments.prompt_builder.query_spec.context import kind_of_type
from serve_app.contracts import Column, ColumnStatistics, SemanticType, Table

# More words than this are a list of names: each would be a word of the model's vocabulary of its own.
MOST_LOOKUP_VALUES = 25
LONGEST_LOOKUP_VALUE_CHARS = 30
LONGEST_NAME_CHARS = 60
# A name occurs about once per row; a lookup's words come back again and again.
ROWS_PER_LOOKUP_VALUE = 4

Statistics = Mapping[tuple[str, str], ColumnStatistics]


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """A column's role with the reason, for the comment beside it."""

    column: Column
    words: tuple[str, ...]
    role: Role
    reason: str
    values: tuple[str, ...] = ()
    semantic: SemanticType | None = None
    unit: str | None = None

    @property
    def name(self) -> str:
        return self.column.name

    def terms(self, nouns: tuple[str, ...]) -> ColumnTerms:
        """The column's part of the pack, spoken of by these nouns."""
        spoken: dict[str, tuple[str, ...]] = {value: (spoken_value(value),) for value in self.values}
        return ColumnTerms(
            role=self.role,
            terms=nouns if self.role != "id" else (),
            semantic=self.semantic,
            unit=self.unit,
            values=spoken if self.role == "lookup" else {},
            description=self.column.comment,
        )


def spoken_value(value: str) -> str:
    """A stored word as people say it: ``no_show`` is "no show"."""
    return " ".join(value.replace("_", " ").replace("-", " ").lower().split()) or value


def guess_column(
    table: Table, column: Column, statistics: ColumnStatistics | None, hints: DraftingHints
) -> ColumnGuess:
    """The likeliest role of a column."""
    words = words_of(column.name, hints)
    kind = kind_of_type(column.type)
    if _is_key(table, column, words):
        return ColumnGuess(column, words, "id", "key")
    if column.enum_values:
        return ColumnGuess(column, words, "lookup", "enum type", column.enum_values)
    if kind in ("date", "timestamp"):
        return ColumnGuess(column, words, "date", column.type)
    if kind == "number":
        return _number(column, words, hints)
    if kind == "text" and column.type != "uuid":
        return _text(table, column, words, statistics, hints)
    return ColumnGuess(column, words, "attribute", f"{column.type}: can be shown, not asked for")


def _is_key(table: Table, column: Column, words: tuple[str, ...]) -> bool:
    if any(column.name in key.columns for key in table.foreign_keys):
        return True
    is_primary = column.name in table.primary_key
    # A text that is the key (an ISBN, a code) is what people name the row by.
    text_key = kind_of_type(column.type) == "text" and column.type != "uuid" and len(table.primary_key) == 1
    return (is_primary and not text_key) or words[-1:] == ("id",) or column.type == "uuid"


def _number(column: Column, words: tuple[str, ...], hints: DraftingHints) -> ColumnGuess:
    if words and words[-1] in hints.code_words:
        return ColumnGuess(column, words, "attribute", f"{words[-1]}: a code, not an amount")
    for hint in hints.measures:
        if hint.words & set(words):
            semantic, unit = hint.semantic, hint.unit
            break
    else:
        semantic, unit = "number", None
    per = next((hints.rate_units[w] for w in words if w in hints.rate_units), None)
    if per and hints.rate_words & set(words) and ("rate" in words or semantic == "currency"):
        semantic, unit = "currency", per
    return ColumnGuess(column, words, "measure", "number", semantic=semantic, unit=unit)


def is_rate(guess: ColumnGuess, hints: DraftingHints) -> bool:
    """Whether an amount of money is the price of one of something."""
    return guess.semantic == "currency" and bool(hints.rate_words & set(guess.words))


def _text(
    table: Table,
    column: Column,
    words: tuple[str, ...],
    statistics: ColumnStatistics | None,
    hints: DraftingHints,
) -> ColumnGuess:
    last = words[-1] if words else ""
    if statistics is not None and statistics.allowed:
        return ColumnGuess(column, words, "lookup", "CHECK constraint", statistics.allowed)
    if last in hints.free_text_words:
        return ColumnGuess(column, words, "text", f"{last}: free text")
    longest = max(map(len, column.sample_values), default=0)
    if longest > LONGEST_NAME_CHARS or (statistics and (statistics.mean_bytes or 0) > LONGEST_NAME_CHARS):
        return ColumnGuess(column, words, "text", f"values of up to {longest} characters")
    if _is_lookup(table, column, last, hints):
        values = tuple(sorted(column.sample_values))
        return ColumnGuess(column, words, "lookup", f"{len(values)} different values", values)
    return ColumnGuess(column, words, "name", "text")


def _is_lookup(table: Table, column: Column, last: str, hints: DraftingHints) -> bool:
    values = column.sample_values
    if not column.values_complete or not 1 < len(values) <= MOST_LOOKUP_VALUES:
        return False
    if last in hints.name_words or max(map(len, values)) > LONGEST_LOOKUP_VALUE_CHARS:
        return False
    if last in hints.lookup_words:
        return True
    repeats = table.row_estimate >= ROWS_PER_LOOKUP_VALUE * len(values)
    # Names begin with capitals; the words of a program's lists do not.
    return repeats and all(value == value.lower() for value in values)
