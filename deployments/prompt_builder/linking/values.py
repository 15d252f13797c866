"""Stored names in a question: exact, partial, plural, shortened."""

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
_MAX_CANDIDATES = 8
# The most frequent English words need more evidence before they count as part of a name.
_FREQUENT_WORDS = 1500
_SCORE_WINDOW = 0.4
_SHORTEST_INITIALS = 3
_SHORTEST_PARTED = 6
_SUBJECTS = frozenset({"we", "i", "you", "they"})
_SPANNING = frozenset({"to", "through", "until", "on"})
# Before these a row's noun speaks of any such row, not of one by its name.
_ANY = frozenset({"each", "every", "any", "a", "an", "per", "no", "which"})


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
class ValueMatch:
    """Words [start, end) of the question and what they may name, best first."""

    start: int
    end: int
    candidates: tuple[Candidate, ...]


class NameIndex:
    """The names and codes of a schema, with the words that must not be taken for names."""

    def __init__(self, schema: SchemaSnapshot, pack: DomainPack, english: English) -> None:
        self._stops = english.stop_words
        self._glue = english.glue_words
        self._terms = _pack_words(pack)
        self._weak = english.weak_words | set(english.known_words[:_FREQUENT_WORDS])
        self._naming = english.naming_words
        self._sources = english.source_words
        self._places = english.place_nouns
        self._verbs = english.through_verbs
        self._superlatives = english.superlatives
        self._labels = {term: (name, t.label) for name, t in pack.tables.items() for term in t.terms}
        self._type_words = {name: _type_words(table) for name, table in pack.tables.items()}
        self.entities = tuple(_entities(schema, pack))
        self._index: dict[str, set[int]] = {}
        for number, entity in enumerate(self.entities):
            for word in entity.stems:
                self._index.setdefault(word, set()).add(number)
        self._sorted_stems = sorted(self._index)
        self._lookup_words = sorted(_lookup_words(pack))
        self._strength: dict[str, str] = {word: self._judge(word) for word in self._index}
        self._candidates: dict[tuple[int, int], Candidate] = {}
        self._aliases = _aliases(pack, self.entities)
        self._initials = _initials(self.entities)

    # vocabulary

    def words(self) -> Counter[str]:
        """Words of all names, for the spelling vocabulary."""
        counts: Counter[str] = Counter()
        for entity in self.entities:
            counts.update(w.lower() for w in _WORD.findall(entity.value))
        return counts

    def short_forms(self) -> set[str]:
        """Initials and the words of other names: known words that no misspelling is corrected to."""
        aliases = {word for group in self._aliases.values() for alias, _ in group for word in alias}
        return aliases | set(self._initials)

    def joined(self) -> dict[str, tuple[str, ...]]:
        """Neighbouring words of a name written as one: "redrocks" for "red rocks"."""
        result: dict[str, tuple[str, ...]] = {}
        for entity in self.entities:
            words = [w.lower() for w in _WORD.findall(entity.value)]
            for first, second in pairwise(words):
                if len(first) > 2 and len(second) > 1:
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

    # matching

    def match(self, words: Words, i: int, sentence_case: bool) -> ValueMatch | None:
        """The longest name from word ``i`` on; ``sentence_case``: a capital letter inside shows a name."""
        text = words.text
        other = self._other_name(words, i)
        if other is not None:
            return other
        matched, end = [stem(text[i])], i + 1
        alive = self._index.get(matched[0])
        if alive is None:
            matched, end = ["".join(text[i : i + 2])], i + 2
            alive = self._split_name(words, i, matched[0])
        if alive is None:
            return None
        while end < len(text):
            word = self._in_alive(stem(text[end]), text[end], alive)
            narrowed = alive & self._index[word] if word is not None and word not in matched else None
            if word is None or not narrowed:
                break
            alive, end = narrowed, end + 1
            matched.append(word)
        while len(matched) > 1 and text[end - 1] in self._glue and not self._whole(alive, len(matched)):
            matched.pop()
            end -= 1
            alive = set.intersection(*(self._index[w] for w in matched))
        only = self._place(alive, text, i, end)
        if only is not None:
            return ValueMatch(i, end, self._rank(only, matched))
        if not self._enough(alive, matched, words, i, end, sentence_case):
            return None
        return ValueMatch(i, end, self._rank(self._called(alive, text, i, end), matched))

    def _called(self, alive: set[int], text: list[str], i: int, end: int) -> set[int]:
        """Those that a noun behind calls so: "the cedar park job" is one job, not any of that town."""
        kind = self._labels.get(text[end]) if end < len(text) else None
        before = text[i - 1] if i else ""
        if kind is None or before in _ANY or before in self._superlatives or before.endswith("est"):
            return alive
        return {n for n in alive if (self.entities[n].table, self.entities[n].column) == kind} or alive

    def _place(self, alive: set[int], text: list[str], i: int, end: int) -> set[int] | None:
        """The only row called by an ordinary noun of a place: "the library", "the school budget"."""
        if end != i + 1 or text[i] not in self._places or text[i - 1 : i] != ["the"]:
            return None
        labelled = set(self._labels.values())
        rows = {n for n in alive if (self.entities[n].table, self.entities[n].column) in labelled}
        behind = text[end] if end < len(text) else ""
        several = behind != stem(behind) and stem(behind) in self._labels and self._labels[stem(behind)][1]
        spoken = behind in self._stops or behind in self._verbs or behind.endswith(("ed", "ing"))
        about = not behind.isalnum() or spoken or stem(behind) in self._terms
        return rows if len(rows) == 1 and about and not several else None

    def _other_name(self, words: Words, i: int) -> ValueMatch | None:
        """Another name that the pack gives a value, or the initials of a name in capitals."""
        text = words.text
        for alias, candidate in self._aliases.get(text[i], ()):
            if tuple(text[i : i + len(alias)]) == alias:
                return ValueMatch(i, i + len(alias), (candidate,))
        parted = self._parted_alias(text, i)
        if parted is not None:
            return ValueMatch(i, i + 2, (parted,))
        number = self._initials.get(text[i])
        if number is None or text[i] in self._terms or words.all_capital():
            return None
        said = words.source[words.start[i] : words.end[i]]
        return ValueMatch(i, i + 1, (self._candidate(number, 100),)) if said.isupper() else None

    def _parted_alias(self, text: list[str], i: int) -> Candidate | None:
        """Another name of one word that the user wrote as two: "sheet rock"."""
        if i + 1 >= len(text) or text[i] in self._stops or text[i + 1] in self._stops:
            return None
        joined = text[i] + text[i + 1]
        group = self._aliases.get(joined, ()) if len(joined) >= _SHORTEST_PARTED else ()
        return next((candidate for alias, candidate in group if alias == (joined,)), None)

    def _split_name(self, words: Words, i: int, joined: str) -> set[int] | None:
        """Names with a word that the user wrote as two: "river side", with a hyphen also "re-bar"."""
        text = words.text
        hyphen = i + 1 < len(text) and words.source[words.end[i] : words.start[i + 1]] == "-"
        if i + 1 >= len(text) or text[i] in self._stops or len(joined) < _SHORTEST_PARTED - hyphen:
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
        before, behind = words.text[i - 1] if i else "", words.text[end] if end < len(words.text) else ""
        spoken_of = before in self._naming and i > 1 and words.text[i - 2] in _SUBJECTS
        alone = len(values) == 1 and (not behind.isalnum() or behind in self._stops)
        first = all(self.entities[n].stems[0] == matched[0] for n in alive)
        sent_by = before in self._sources and first and behind not in _SPANNING
        if alone and (spoken_of or sent_by):
            return True
        # A plural before is no apposition: "clients living on loans".
        near = {before if stem(before) == before else "", behind}
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


def _entities(schema: SchemaSnapshot, pack: DomainPack) -> Iterable[Entity]:
    seen: set[tuple[str, str, str]] = set()
    for table_name, table in pack.tables.items():
        stored = schema.table(table_name)
        if stored is None:
            continue
        for column_name, terms in table.columns.items():
            column = stored.column(column_name)
            if terms.role != "name" or column is None or _is_coded(column.sample_values):
                continue
            for value in column.sample_values:
                stems = tuple(stem(w.lower()) for w in _WORD.findall(value))
                key = (table_name, column_name, value)
                if stems and key not in seen:
                    seen.add(key)
                    yield Entity(table_name, column_name, value, stems)


def _aliases(
    pack: DomainPack, entities: tuple[Entity, ...]
) -> dict[str, list[tuple[tuple[str, ...], Candidate]]]:
    """Other names of stored names by their first word, longest first."""
    found: dict[str, list[tuple[tuple[str, ...], Candidate]]] = {}
    for entity in entities:
        for alias in pack.tables[entity.table].columns[entity.column].values.get(entity.value, ()):
            words = tuple(alias.lower().split())
            candidate = Candidate(table=entity.table, column=entity.column, value=entity.value, score=1.0)
            found.setdefault(words[0], []).append((words, candidate))
    return {word: sorted(group, key=lambda pair: -len(pair[0])) for word, group in found.items()}


def _initials(entities: tuple[Entity, ...]) -> dict[str, int]:
    """Initials of names of three words and more that only one name has."""
    numbers: dict[str, list[int]] = {}
    for number, entity in enumerate(entities):
        letters = "".join(word[0].lower() for word in _WORD.findall(entity.value))
        if len(letters) >= _SHORTEST_INITIALS and letters.isalpha():
            numbers.setdefault(letters, []).append(number)
    return {letters: found[0] for letters, found in numbers.items() if len(found) == 1}


def _is_coded(samples: tuple[str, ...]) -> bool:
    """Codes are linked by their look (`codes`), not by their words."""
    return bool(samples) and all(re.search(r"\d{3,}$", value) for value in samples)


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
            if terms.role == "name":
                continue
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
