"""Names of tables and columns as English: ``order_items`` is "order item", plural "order items"."""

import re

from deployments.prompt_builder.drafting.hints import DraftingHints
from deployments.prompt_builder.synthesis.realizer.lexicon import plural_of

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
# What a name of blanks is called.
NAMELESS = "unnamed"
# Endings that say "date" and not what happened: due_on, created_at, billing_date.
DATE_ENDINGS = frozenset({"on", "at", "date", "time", "timestamp", "datetime", "day"})


def words_of(name: str, hints: DraftingHints) -> tuple[str, ...]:
    """The lower-case words of a snake_case, camelCase or spaced name, abbreviations written out."""
    parts = [part.lower() for part in _PARTS.findall(name)] or [name.lower()]
    return tuple(" ".join(hints.abbreviations.get(part, part) for part in parts).split()) or (NAMELESS,)


def singular(word: str, hints: DraftingHints) -> str:
    """The singular of one word; a word that is singular already stays."""
    irregular = {plural: single for single, plural in hints.irregular_plurals.items()}
    if word in irregular:
        return irregular[word]
    if word in hints.irregular_plurals:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def plural(phrase: str, hints: DraftingHints) -> str:
    """The plural of a singular noun phrase."""
    *before, last = phrase.split()
    return " ".join((*before, hints.irregular_plurals.get(last) or plural_of(last)))


def is_regular(phrase: str, hints: DraftingHints) -> bool:
    """Whether a pack need not give this term's plural."""
    return plural(phrase, hints) == plural_of(phrase)


def row_noun(table: str, hints: DraftingHints) -> str:
    """What one row of a table is called, by the table's name alone."""
    *before, last = words_of(table, hints)
    return " ".join((*before, singular(last, hints)))


def stem(words: tuple[str, ...]) -> tuple[str, ...]:
    """A date column's words without the ending that only says "date"."""
    return words[:-1] if len(words) > 1 and words[-1] in DATE_ENDINGS else words
