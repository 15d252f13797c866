"""The shape of a question: its text with the linker's placeholders for names, numbers and dates."""

import re
from dataclasses import dataclass

from deployments.prompt_builder.linking.english import English
from serve_app.contracts import Link

# The type of a name, as the linker writes it after the placeholder.
_TYPE = re.compile(r"<[^<>:]+\.[^<>:]+>")
_PAUSES = frozenset(",.:")
# A near-exact match needs so many words that say something beside its placeholders.
FEWEST_WORDS = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """``exact`` is the linked text; ``near`` leaves out pauses and words of courtesy and grammar alone.

    ``near`` is None where too little is left to go by. Word forms stay: "the highest bill" asks for one row,
    "the highest bills" does not.
    """

    exact: str
    near: str | None


def shape_of(linked_text: str, english: English) -> Shape:
    kept: list[str] = []
    for word in linked_text.split():
        if word.startswith("<D") and kept and kept[-1] in english.date_prepositions:
            # "spent in May" and "spent last month" differ in nothing but the date.
            kept.pop()
        if _TYPE.fullmatch(word) and kept and _TYPE.fullmatch(kept[-1]):
            # Of the columns that a name may belong to, the likeliest says what is asked.
            continue
        if word not in _PAUSES and word not in english.filler_words:
            kept.append(word)
    said = sum(not word.startswith("<") for word in kept)
    return Shape(linked_text, " ".join(kept) if said >= FEWEST_WORDS else None)


def same_meaning(one: Link, other: Link) -> bool:
    """Whether two links of the same placeholder stand for the same value."""
    return (one.placeholder, one.candidates, one.number, one.unit, one.dates) == (
        other.placeholder,
        other.candidates,
        other.number,
        other.unit,
        other.dates,
    )
