"""The model's view of a question: ``<V0> <vendors.name>``, ``<N0> <n:money>``, ``<D0> <d:month>``.

A placeholder is followed by its types: up to three columns that the value may belong to, the unit of a
number, the kind of a date range. All other text is lower case without angle brackets, so no question can
spell such a token.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.amounts import AmountMatch
from deployments.prompt_builder.linking.dates import DateMatch
from deployments.prompt_builder.linking.numerals import plain
from deployments.prompt_builder.linking.tokens import Words
from deployments.prompt_builder.linking.values import ValueMatch
from serve_app.contracts import Link, SchemaSnapshot

# As many of each kind as the query specification has placeholders.
MAX_LINKS: Final = {"V": 8, "N": 8, "D": 6}
MAX_TYPE_TOKENS: Final = 3
DATE_KINDS: Final = ("day", "week", "month", "quarter", "year", "range", "since", "before", "future")
NUMBER_KINDS: Final = (
    *("money", "percent", "count", "hours", "days", "weeks", "months", "years"),
    *("times", "rank", "number"),
)
_LEFTOVERS: Final = {
    "1st": "first",
    "2nd": "second",
    "3rd": "third",
    "4th": "fourth",
    "5th": "fifth",
    "+": "and",
}
_PAUSES: Final = frozenset({",", ".", ":"})

Match = DateMatch | ValueMatch | AmountMatch


@dataclass(frozen=True, slots=True)
class LinkedQuestion:
    """The model's view of a question, and what each placeholder in it stands for."""

    text: str
    links: tuple[Link, ...]


def placeholder_vocabulary(schema: SchemaSnapshot, pack: DomainPack) -> tuple[str, ...]:
    """Every placeholder and type token that can stand in a linked question."""
    columns = [
        f"<{table.name}.{column.name}>"
        for table in schema.tables
        for column in table.columns
        if table.name in pack.tables
        and (terms := pack.tables[table.name].columns.get(column.name)) is not None
        and terms.role in {"name", "text"}
    ]
    placeholders = [f"<{letter}{n}>" for letter, count in MAX_LINKS.items() for n in range(count)]
    kinds = [*(f"<d:{kind}>" for kind in DATE_KINDS), *(f"<n:{kind}>" for kind in NUMBER_KINDS)]
    return (*placeholders, *kinds, *columns)


def render(question: str, words: Words, matches: list[Match], today: date) -> LinkedQuestion:
    """Number the matches from left to right; equal ones share a placeholder, too many stay text."""
    links: list[Link] = []
    known: dict[object, str] = {}
    counts = dict.fromkeys(MAX_LINKS, 0)
    pieces: list[str] = []
    i = 0
    for match in matches:
        key, letter = _identity(match)
        name = known.get(key)
        if name is None and counts[letter] == MAX_LINKS[letter]:
            continue
        pieces.extend(_leftovers(words.text[i : match.start]))
        if name is None:
            name = f"{letter}{counts[letter]}"
            counts[letter] += 1
            known[key] = name
            links.append(_link(question, words, match, name))
        pieces.append(f"<{name}>")
        pieces.extend(_type_tokens(match, today))
        i = match.end
    pieces.extend(_leftovers(words.text[i:]))
    return LinkedQuestion(_joined(pieces), tuple(links))


def _leftovers(words: list[str]) -> list[str]:
    return [_LEFTOVERS.get(word, word) for word in words]


def _joined(pieces: list[str]) -> str:
    """The words in one line, without doubled pauses and without one at the end."""
    kept: list[str] = []
    for piece in pieces:
        if piece not in _PAUSES or (kept and kept[-1] not in _PAUSES):
            kept.append(piece)
    if kept and kept[-1] in _PAUSES:
        kept.pop()
    return " ".join(kept)


def _identity(match: Match) -> tuple[object, str]:
    if isinstance(match, ValueMatch):
        return match.candidates, "V"
    if isinstance(match, AmountMatch):
        return (match.value, match.kind), "N"
    return match.period, "D"


def _link(question: str, words: Words, match: Match, name: str) -> Link:
    span = words.span(match.start, match.end)
    text = question[span[0] : span[1]]
    if isinstance(match, ValueMatch):
        return Link(placeholder=name, span=span, text=text, candidates=match.candidates)
    if isinstance(match, AmountMatch):
        return Link(placeholder=name, span=span, text=text, number=plain(match.value), unit=match.unit)
    return Link(placeholder=name, span=span, text=text, dates=match.period.to_range())


def _type_tokens(match: Match, today: date) -> list[str]:
    if isinstance(match, AmountMatch):
        return [f"<n:{match.kind}>"]
    if isinstance(match, DateMatch):
        return [f"<d:{match.period.kind(today)}>"]
    columns = dict.fromkeys(f"<{c.table}.{c.column}>" for c in match.candidates)
    return list(columns)[:MAX_TYPE_TOKENS]
