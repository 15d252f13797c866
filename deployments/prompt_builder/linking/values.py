"""Stored names in a question: exact, partial, plural, shortened, and codes such as invoice numbers."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from deployments.prompt_builder.domain import DomainPack, TableTerms
from deployments.prompt_builder.linking.english import English
from deployments.prompt_builder.linking.tokens import Words
from serve_app.contracts import Candidate, SchemaSnapshot

_WORD = re.compile(r"[^\W_]+")
_CODE = re.compile(r"([A-Za-z]{1,8})([-_/# ]?)(\d{3,})$")
_PADDED = re.compile(r"(?<!\d)(0\d{2,})(?!\d)")
_STARTING = frozenset(
    ["beginning", "starting", "begin", "begins", "start", "starts", "with", "prefix", "like"]
)
_MAX_CANDIDATES = 8
# The most frequent English words need more evidence before they count as part of a name.
_FREQUENT_WORDS = 1500
_SCORE_WINDOW = 0.4


def stem(word: str) -> str:
    """The singular of a regular plural."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1]


@dataclass(frozen=True, slots=True)
class Entity:
    """One stored value of a name column and the stems of its words."""

    table: str
    column: str
    value: str
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodePattern:
    """How the codes of a column look: letters, a separator and zero-padded digits."""

    table: str
    column: str
    prefix: str
    separator: str
    width: int

    def expression(self) -> str:
        return rf"{re.escape(self.prefix.lower())}[-_#\s]{{0,2}}\d{{2,}}(?![^\W_])"

    def normalise(self, text: str, starts: bool) -> str:
        """The code as stored; ``starts`` keeps an incomplete number as it is."""
        digits = "".join(c for c in text if c.isdigit())
        if not starts and not digits.startswith("0"):
            digits = digits.zfill(self.width)
        return f"{self.prefix}{self.separator}{digits}"


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """Words [start, end) of the question and what they may name, best first."""

    start: int
    end: int
    candidates: tuple[Candidate, ...]


class NameIndex:
    """The names and codes of a schema, with the words that must not be taken for names."""

    def __init__(self, schema: SchemaSnapshot, pack: DomainPack, english: English) -> None:
        self._stops = english.stop_words
        self._terms = _pack_words(pack)
        self._weak = english.weak_words | set(english.known_words[:_FREQUENT_WORDS])
        self._type_words = {name: _type_words(table) for name, table in pack.tables.items()}
        self.entities = tuple(_entities(schema, pack))
        self.codes = tuple(_code_patterns(schema, pack))
        self._padded = tuple(_padded_columns(schema, pack))
        self._index: dict[str, set[int]] = {}
        for number, entity in enumerate(self.entities):
            for word in entity.stems:
                self._index.setdefault(word, set()).add(number)
        self._sorted_stems = sorted(self._index)
        self._lookup_words = sorted(_lookup_words(pack))
        self._strength: dict[str, str] = {word: self._judge(word) for word in self._index}
        self._candidates: dict[tuple[int, int], Candidate] = {}

    # ------------------------------------------------------------ vocabulary

    def words(self) -> Counter[str]:
        """Words of all names, for the spelling vocabulary."""
        counts: Counter[str] = Counter()
        for entity in self.entities:
            counts.update(w.lower() for w in _WORD.findall(entity.value))
        return counts

    def joined(self) -> dict[str, tuple[str, ...]]:
        """Neighbouring words of a name written as one: "redrocks" for "red rocks"."""
        result: dict[str, tuple[str, ...]] = {}
        for entity in self.entities:
            words = [w.lower() for w in _WORD.findall(entity.value)]
            for first, second in pairwise(words):
                if len(first) > 2 and len(second) > 2:
                    result[first + second] = (first, second)
        return result

    def completion(self, prefix: str) -> str | None:
        """The only name word that a shortened word can stand for ("conc" for "concrete")."""
        k = bisect_left(self._sorted_stems, prefix)
        found = self._sorted_stems[k : k + 2]
        if not found or not found[0].startswith(prefix):
            return None
        return None if len(found) > 1 and found[1].startswith(prefix) else found[0]

    def _judge(self, word: str) -> str:
        """hard: never a name on its own; weak: needs more evidence; strong: a name by itself."""
        if word in self._stops or word in self._terms or len(word) == 1:
            return "hard"
        if word in self._weak or any(_common_prefix(word, w) >= 6 for w in self._lookup_words):
            return "weak"
        return "strong"

    # ------------------------------------------------------------ matching

    def match(self, words: Words, i: int, sentence_case: bool) -> ValueMatch | None:
        """The longest name from word ``i`` on; ``sentence_case``: a capital letter inside shows a name."""
        text = words.text
        matched, end = [stem(text[i])], i + 1
        alive = self._index.get(matched[0])
        if alive is None:
            matched, end = ["".join(text[i : i + 2])], i + 2
            alive = self._split_name(text, i, matched[0])
        if alive is None:
            return None
        while end < len(text):
            word = self._in_alive(stem(text[end]), text[end], alive)
            narrowed = alive & self._index[word] if word is not None and word not in matched else None
            if word is None or not narrowed:
                break
            alive, end = narrowed, end + 1
            matched.append(word)
        while len(matched) > 1 and text[end - 1] in self._stops and not self._whole(alive, len(matched)):
            matched.pop()
            end -= 1
            alive = set.intersection(*(self._index[w] for w in matched))
        if not self._enough(alive, matched, words, i, end, sentence_case):
            return None
        return ValueMatch(i, end, self._rank(alive, matched))

    def _split_name(self, text: list[str], i: int, joined: str) -> set[int] | None:
        """Names with a word that the user wrote as two: "river side"."""
        if i + 1 >= len(text) or text[i] in self._stops or len(joined) < 6:
            return None
        return self._index.get(joined)

    def _in_alive(self, word: str, raw: str, alive: set[int]) -> str | None:
        if word in self._index:
            return word
        if (
            len(raw) >= 3
            and raw.isalpha()
            and raw not in self._weak
            and raw not in self._terms
            and len(alive) <= 4
        ):
            found = {s for n in alive for s in self.entities[n].stems if s.startswith(raw)}
            if len(found) == 1:
                return found.pop()
        return None

    def _whole(self, alive: set[int], count: int) -> bool:
        return any(len(self.entities[n].stems) == count for n in alive)

    def _enough(
        self, alive: set[int], matched: list[str], words: Words, i: int, end: int, sentence_case: bool
    ) -> bool:
        """Whether the words are evidence enough for a name."""
        strengths = [self._strength[w] for w in matched]
        if "strong" in strengths:
            return words.text[i] not in self._stops
        if self._whole(alive, len(matched)):
            return "weak" in strengths or len(matched) > 1
        if "weak" not in strengths or words.text[i] in self._stops:
            return False
        values = {self.entities[n].value for n in alive}
        if len(matched) > 1:
            return len(values) <= 2
        if sentence_case and i > 0 and words.capital[i] and words.text[i - 1] not in {".", ":"}:
            return True
        near = {words.text[i - 1] if i else "", words.text[end] if end < len(words.text) else ""}
        typed = any(near & self._type_words.get(self.entities[n].table, frozenset()) for n in alive)
        return typed and len(values) <= 3

    def _rank(self, alive: set[int], matched: list[str]) -> tuple[Candidate, ...]:
        scored = sorted(((self._score(n, matched), n) for n in alive), key=lambda pair: (-pair[0], pair[1]))
        best = scored[0][0]
        if best == 100 and len(matched) > 1:
            scored = [pair for pair in scored if pair[0] == 100]
        kept = [pair for pair in scored if pair[0] >= best - 100 * _SCORE_WINDOW][:_MAX_CANDIDATES]
        return tuple(self._candidate(n, score) for score, n in kept)

    def _score(self, number: int, matched: list[str]) -> int:
        """Percent of the name that was said, words weighted by how few names share them."""
        stems = self.entities[number].stems
        if len(matched) >= len(stems):
            return 100
        total = sum(self._weight(s) for s in stems)
        said = sum(self._weight(s) for s in matched)
        return round(55 + 40 * min(1.0, said / total) + (4 if matched[0] == stems[0] else 0))

    def _weight(self, word: str) -> float:
        return 1.0 if self._strength[word] == "strong" else 0.4 if self._strength[word] == "weak" else 0.15

    def _candidate(self, number: int, score: int) -> Candidate:
        key = (number, score)
        found = self._candidates.get(key)
        if found is None:
            entity = self.entities[number]
            found = Candidate(
                table=entity.table, column=entity.column, value=entity.value, score=min(score, 100) / 100
            )
            self._candidates[key] = found
        return found

    # ------------------------------------------------------------ codes

    def code(self, words: list[str], i: int) -> ValueMatch | None:
        """A code by its pattern, or the zero-padded number inside a title."""
        word = words[i]
        digit = word[-1]
        if not digit.isdigit():
            return None
        for pattern in self.codes:
            if word.startswith(pattern.prefix.lower()) and re.fullmatch(pattern.expression(), word):
                starts = i >= 2 and not _STARTING.isdisjoint(words[max(0, i - 3) : i])
                value = pattern.normalise(word, starts)
                return ValueMatch(
                    i, i + 1, (Candidate(table=pattern.table, column=pattern.column, value=value, score=1),)
                )
        if word[0] == "0" and word.isdigit() and len(word) > 2:
            found = tuple(
                Candidate(table=table, column=column, value=word, score=0.9)
                for table, column, width in self._padded
                if width == len(word)
            )
            return ValueMatch(i, i + 1, found) if found else None
        return None


def _entities(schema: SchemaSnapshot, pack: DomainPack) -> Iterable[Entity]:
    seen: set[tuple[str, str, str]] = set()
    for table_name, table in pack.tables.items():
        stored = schema.table(table_name)
        if stored is None:
            continue
        for column_name, terms in table.columns.items():
            column = stored.column(column_name)
            if terms.role != "name" or column is None or _code_shape(column.sample_values):
                continue
            for value in column.sample_values:
                stems = tuple(stem(w.lower()) for w in _WORD.findall(value))
                key = (table_name, column_name, value)
                if stems and key not in seen:
                    seen.add(key)
                    yield Entity(table_name, column_name, value, stems)


def _code_shape(samples: tuple[str, ...]) -> tuple[str, str, int] | None:
    """Prefix, separator and width of codes when nearly all samples share them."""
    shapes = Counter((m[1], m[2], len(m[3])) for m in map(_CODE.match, samples) if m)
    if not shapes:
        return None
    shape, count = shapes.most_common(1)[0]
    return shape if count >= 3 and count >= 0.8 * len(samples) else None


def _code_patterns(schema: SchemaSnapshot, pack: DomainPack) -> Iterable[CodePattern]:
    for table in schema.tables:
        for column in table.columns:
            shape = _code_shape(column.sample_values)
            if shape is not None and table.name in pack.tables:
                yield CodePattern(table.name, column.name, *shape)


def _padded_columns(schema: SchemaSnapshot, pack: DomainPack) -> Iterable[tuple[str, str, int]]:
    """Text columns whose values carry a zero-padded number, with its width."""
    for table in schema.tables:
        for column in table.columns:
            if _code_shape(column.sample_values) is not None or table.name not in pack.tables:
                continue
            widths = Counter(len(m[1]) for m in map(_PADDED.search, column.sample_values) if m)
            if widths and sum(widths.values()) >= 3:
                yield table.name, column.name, widths.most_common(1)[0][0]


def _pack_words(pack: DomainPack) -> frozenset[str]:
    """Stems of all words the pack uses for tables, columns and looked-up values."""
    words: set[str] = set()
    for table in pack.tables.values():
        for term in (*table.terms, *table.plurals):
            words.update(_stems(term))
        for terms in table.columns.values():
            for term in terms.terms:
                words.update(_stems(term))
    return frozenset(words | _lookup_words(pack))


def _lookup_words(pack: DomainPack) -> set[str]:
    words: set[str] = set()
    for table in pack.tables.values():
        for terms in table.columns.values():
            for value, others in terms.values.items():
                for term in (value, *others):
                    words.update(_stems(term))
    return words


def _type_words(table: TableTerms) -> frozenset[str]:
    """Nouns that show a word beside them to be a name of this table: "the plumbing sub"."""
    words: set[str] = set()
    for term in (*table.terms, *table.plurals, *(t + "s" for t in table.terms)):
        words.add(term)
    for terms in table.columns.values():
        if terms.role == "lookup":
            for value, others in terms.values.items():
                words.update({value, *others, *(t + "s" for t in others)})
    return frozenset(words)


def _stems(term: str) -> set[str]:
    return {stem(w.lower()) for w in _WORD.findall(term)}


def _common_prefix(first: str, second: str) -> int:
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count
