"""Codes in a question: numbers of a fixed look ("INV-000003") and numbered titles ("Permit 0045 - Pine").

Stored codes are too many to be listed: their look is learned from the samples, and what fits is linked as it
is said.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from deployments.prompt_builder.domain import DomainPack, TableTerms
from deployments.prompt_builder.linking.tokens import Words
from deployments.prompt_builder.linking.values import NameIndex, ValueMatch
from serve_app.contracts import Candidate, SchemaSnapshot

_CODE: Final = re.compile(r"([A-Za-z]{1,8})([-_/# ]?)(\d{3,})$")
_TITLE: Final = re.compile(r"([A-Za-z]+) (\d{3,})(?!\d)(.*)")
_ENOUGH_SAMPLES: Final = 3
_SHARE_OF_SAMPLES: Final = 0.8
_STARTING: Final = frozenset(
    {"beginning", "starting", "begin", "begins", "start", "starts", "prefix", "like"}
)


@dataclass(frozen=True, slots=True)
class CodePattern:
    """How the codes of a column look: letters, a separator and zero-padded digits."""

    table: str
    column: str
    prefix: str
    separator: str
    width: int
    nouns: frozenset[str] = frozenset()

    def expression(self) -> str:
        return rf"{re.escape(self.prefix.lower())}[-_/#\s]{{0,2}}\d{{2,}}(?![^\W_])"

    def normalise(self, text: str, starts: bool) -> str:
        """The code as stored; ``starts`` keeps an incomplete number as it is."""
        digits = "".join(c for c in text if c.isdigit())
        if not starts and not digits.startswith("0"):
            digits = digits.zfill(self.width)
        return f"{self.prefix}{self.separator}{digits}"


@dataclass(frozen=True, slots=True)
class TitlePattern:
    """How numbered titles look: a leading word, zero-padded digits, perhaps a name behind a dash."""

    table: str
    column: str
    width: int
    leads: frozenset[str]
    nouns: frozenset[str]
    named: bool


class CodeIndex:
    """Links codes of columns whose sample values share a look."""

    def __init__(self, schema: SchemaSnapshot, pack: DomainPack, names: NameIndex) -> None:
        self.patterns = tuple(_code_patterns(schema, pack))
        self._compiled = tuple((pattern, re.compile(pattern.expression())) for pattern in self.patterns)
        self._titles = tuple(_title_patterns(schema, pack))
        self._leads = frozenset[str]().union(*(title.leads for title in self._titles))
        self._names = names

    def match(self, words: Words, i: int) -> ValueMatch | None:
        """The code that begins at word ``i``."""
        text = words.text
        word = text[i]
        if word[-1].isdigit():
            return self._code(text, i) or self._number(words, i)
        if word in self._leads and i + 1 < len(text) and text[i + 1].isdigit():
            return self._title(words, i)
        return None

    def _code(self, text: list[str], i: int) -> ValueMatch | None:
        for pattern, expression in self._compiled:
            if expression.fullmatch(text[i]):
                starts = not _STARTING.isdisjoint(text[max(0, i - 3) : i])
                return _match(i, i + 1, pattern.table, pattern.column, pattern.normalise(text[i], starts))
        return self._bare_code(text, i) if text[i].isdigit() else None

    def _bare_code(self, text: list[str], i: int) -> ValueMatch | None:
        """A code's number behind the column's noun: "invoice no 8871", "invoice 008871"."""
        counted = text[i - 1 : i] in (["number"], ["no"])
        noun = text[i - 1 - counted] if i > counted else ""
        for pattern in self.patterns:
            whole = len(text[i]) == pattern.width
            if noun in pattern.nouns and (whole or (counted and len(text[i]) < pattern.width)):
                return _match(
                    i - 1 - counted, i + 1, pattern.table, pattern.column, pattern.normalise(text[i], False)
                )
        return None

    def _number(self, words: Words, i: int) -> ValueMatch | None:
        """A title's number alone: "doc 0042"; without a leading zero only behind a noun for the row."""
        text = words.text
        if not text[i].isdigit():
            return None
        for title in self._titles:
            said = text[i][0] == "0" or (i > 0 and text[i - 1] in title.nouns)
            if said and len(text[i]) == title.width:
                return self._with_name(words, i, i + 1, title, text[i])
        return None

    def _title(self, words: Words, i: int) -> ValueMatch | None:
        text = words.text
        for title in self._titles:
            if text[i] not in title.leads or len(text[i + 1]) != title.width:
                continue
            return self._with_name(words, i, i + 2, title, f"{text[i].capitalize()} {text[i + 1]}")
        return None

    def _with_name(self, words: Words, i: int, end: int, title: TitlePattern, value: str) -> ValueMatch:
        """The title's value up to word ``end`` and the name behind a dash, if one follows."""
        dashed = end < len(words.text) - 1 and words.source[words.start[end]] in "-\u2013\u2014"
        named = self._names.match(words, end + 1, sentence_case=True) if title.named and dashed else None
        if named is not None:
            value, end = f"{value} - {named.candidates[0].value}", named.end
        return _match(i, end, title.table, title.column, value)


def _match(start: int, end: int, table: str, column: str, value: str) -> ValueMatch:
    return ValueMatch(start, end, (Candidate(table=table, column=column, value=value, score=1.0),))


def code_shape(samples: tuple[str, ...]) -> tuple[str, str, int] | None:
    """Prefix, separator and width of codes when nearly all samples share them."""
    shapes = Counter((m[1], m[2], len(m[3])) for m in map(_CODE.match, samples) if m)
    if not shapes:
        return None
    shape, count = shapes.most_common(1)[0]
    return shape if count >= max(_ENOUGH_SAMPLES, _SHARE_OF_SAMPLES * len(samples)) else None


def _code_patterns(schema: SchemaSnapshot, pack: DomainPack) -> Iterable[CodePattern]:
    for table in schema.tables:
        for column in table.columns:
            shape = code_shape(column.sample_values)
            if shape is not None and table.name in pack.tables:
                terms = pack.tables[table.name].columns.get(column.name)
                nouns = {term.split()[0] for term in terms.terms} if terms is not None else set()
                yield CodePattern(table.name, column.name, *shape, frozenset(nouns))


def _title_patterns(schema: SchemaSnapshot, pack: DomainPack) -> Iterable[TitlePattern]:
    for table in schema.tables:
        terms = pack.tables.get(table.name)
        for column in table.columns if terms is not None else ():
            found = [m for m in map(_TITLE.match, column.sample_values) if m]
            widths = Counter(len(m[2]) for m in found if m[2].startswith("0"))
            if terms is None or code_shape(column.sample_values) or sum(widths.values()) < _ENOUGH_SAMPLES:
                continue
            yield TitlePattern(
                table.name,
                column.name,
                width=widths.most_common(1)[0][0],
                leads=frozenset(m[1].lower() for m in found) | _lookup_values(terms),
                nouns=frozenset(terms.terms),
                named=any(m[3].startswith(" - ") for m in found),
            )


def _lookup_values(terms: TableTerms) -> frozenset[str]:
    """Stored lookup words of a table: titles often begin with the row's kind."""
    return frozenset(
        value for column in terms.columns.values() if column.role == "lookup" for value in column.values
    )
