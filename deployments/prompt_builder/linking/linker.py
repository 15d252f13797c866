"""The linker: a question's names, dates and amounts become typed placeholders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.amounts import AmountGrammar, AmountMatch, share_units
from deployments.prompt_builder.linking.dates import DateGrammar, DateMatch, looks_ahead
from deployments.prompt_builder.linking.english import English, load_english
from deployments.prompt_builder.linking.numerals import SCALES, TENS, UNITS, plain
from deployments.prompt_builder.linking.points import MONTHS, UNIT_WORDS, WEEKDAYS
from deployments.prompt_builder.linking.spelling import Speller
from deployments.prompt_builder.linking.tokens import PUNCTUATION, Words, fold, symbol, token_pattern
from deployments.prompt_builder.linking.values import NameIndex, ValueMatch
from serve_app.contracts import Link, SchemaSnapshot

MAX_LINKS = 8
_MAX_QUESTION_CHARS = 4000
_DATE_KINDS = ("day", "week", "month", "quarter", "year", "range", "since", "before", "future")
_NUMBER_KINDS = (
    "money",
    "percent",
    "count",
    "hours",
    "days",
    "weeks",
    "months",
    "years",
    "times",
    "rank",
    "number",
)
_MAX_TYPE_TOKENS = 3
_NAME_WEIGHT = 1_000_000
_TERM_WEIGHT = 100_000
_ENGLISH_WEIGHT = 10_000
_WORDS_CACHED = 200_000


@dataclass(frozen=True, slots=True)
class LinkedQuestion:
    """The model's view of a question: ``text`` with placeholders, and what each placeholder stands for."""

    text: str
    links: tuple[Link, ...]


Match = DateMatch | ValueMatch | AmountMatch


class Linker:
    """Links questions over one schema; build once per schema fingerprint, then call `link` from any thread.

    ``vocabulary`` adds words with their frequencies to the spelling vocabulary (those the model was trained on).
    """

    def __init__(
        self,
        schema: SchemaSnapshot,
        pack: DomainPack,
        vocabulary: Mapping[str, int] | None = None,
        english: English | None = None,
    ) -> None:
        self._english = english or load_english()
        self._names = NameIndex(schema, pack, self._english)
        self._nouns = _table_nouns(pack)
        self._speller = _speller(pack, self._names, self._english, vocabulary or {})
        self._replacements = _replacements(self._english, self._names)
        self._pattern = token_pattern(tuple(code.expression() for code in self._names.codes))
        self._canonical: dict[str, tuple[str, ...]] = {}
        self.fingerprint = schema.fingerprint

    def link(self, question: str, today: date) -> LinkedQuestion:
        """Resolve what the question names; ``today`` decides undated months and weekdays."""
        words = self._words(question[:_MAX_QUESTION_CHARS])
        matches = self._matches(words, today)
        return _render(question, words, matches, today)

    # ------------------------------------------------------------ words

    def _words(self, question: str) -> Words:
        folded = fold(question)
        words = Words(question)
        for token in self._pattern.finditer(folded):
            raw = token.group()
            start, end = token.span()
            known = self._canonical.get(raw)
            if known is None:
                known = self._canonicalise(raw)
            words.add(known, start, end, question[start].isupper())
        return _join_hyphens(words)

    def _canonicalise(self, raw: str) -> tuple[str, ...]:
        words = self._reading(raw)
        if len(self._canonical) >= _WORDS_CACHED:
            self._canonical.clear()
        self._canonical[raw] = words
        return words

    def _reading(self, raw: str) -> tuple[str, ...]:
        special = symbol(raw) or self._replacements.get(raw)
        if special is not None:
            return special
        if raw.endswith("'s"):
            return (*self._reading(raw[:-2]), "'s")
        if "'" in raw and raw[0] != "'":
            return self._reading(raw.replace("'", ""))
        corrected = self._speller.correct(raw)
        if corrected != raw:
            return self._replacements.get(corrected, (corrected,))
        if len(raw) >= 4 and raw.isalpha() and not self._speller.knows(raw):
            return (self._names.completions(raw) or raw,)
        return (raw,)

    # ------------------------------------------------------------ matches

    def _matches(self, words: Words, today: date) -> list[Match]:
        text = words.text
        dates = DateGrammar(text, words.capital, today, looks_ahead(text, self._english.future_cues))
        amounts = AmountGrammar(text, self._nouns, self._english.superlatives)
        mixed = any(words.capital) and not all(
            c for c, w in zip(words.capital, text, strict=True) if w.isalpha()
        )
        found: list[Match] = []
        i = 0
        while i < len(text):
            match = self._best(words, i, dates, amounts, mixed)
            if match is None:
                i += 1
            else:
                found.append(match)
                i = match.end
        return _with_shared_units(found, text)

    def _best(
        self, words: Words, i: int, dates: DateGrammar, amounts: AmountGrammar, mixed: bool
    ) -> Match | None:
        """The longest match at word ``i``; codes before dates before names before numbers."""
        text = words.text
        if text[i] in PUNCTUATION:
            return None
        code = self._names.code(text, i)
        if code is not None:
            return code
        dated = dates.match(i)
        named = self._names.match(text, words.capital, i, mixed)
        if dated is not None and (named is None or dated.end >= named.end):
            return dated
        return named or amounts.match(i)


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
    placeholders = [f"{kind}{n}" for kind in "VND" for n in range(MAX_LINKS)]
    kinds = [f"<{kind}>" for kind in dict.fromkeys((*_DATE_KINDS, *_NUMBER_KINDS))]
    return (*placeholders, *kinds, *columns)


# ---------------------------------------------------------------- rendering


def _render(question: str, words: Words, matches: list[Match], today: date) -> LinkedQuestion:
    links: list[Link] = []
    known: dict[object, str] = {}
    counts = {"V": 0, "N": 0, "D": 0}
    pieces: list[str] = []
    i = 0
    for match in matches:
        key, letter = _identity(match)
        name = known.get(key)
        if name is None and counts[letter] == MAX_LINKS:
            continue
        pieces.extend(words.text[i : match.start])
        if name is None:
            name = f"{letter}{counts[letter]}"
            counts[letter] += 1
            known[key] = name
            links.append(_link(question, words, match, name))
        pieces.append(name)
        pieces.extend(_type_tokens(match, today))
        i = match.end
    pieces.extend(words.text[i:])
    return LinkedQuestion(_joined(pieces), tuple(links))


def _joined(pieces: list[str]) -> str:
    """The words in one line, without hyphens, full stops at the end, or doubled punctuation."""
    kept: list[str] = []
    for piece in pieces:
        if piece == "-" or (piece in {",", ".", ":"} and (not kept or kept[-1] in {",", ".", ":"})):
            continue
        kept.append(piece)
    while kept and kept[-1] in {".", ",", ":"}:
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
        return [f"<{match.kind}>"]
    if isinstance(match, DateMatch):
        return [f"<{match.period.kind(today)}>"]
    columns = dict.fromkeys(f"<{c.table}.{c.column}>" for c in match.candidates)
    return list(columns)[:_MAX_TYPE_TOKENS]


# ---------------------------------------------------------------- preparation


def _join_hyphens(words: Words) -> Words:
    """A hyphen between numbers, months or quarters is "to"; between words it says nothing."""
    text = words.text
    for i, word in enumerate(text):
        if word != "-" or not 0 < i < len(text) - 1:
            continue
        before, after = text[i - 1], text[i + 1]
        if (
            (before[-1].isdigit()
            and (after[0].isdigit() or after[0] == "$"))
            or (before in MONTHS and after in MONTHS)
        ):
            text[i] = "to"
        elif words.end[i - 1] < words.start[i] and words.end[i] < words.start[i + 1]:
            text[i] = ","
    return words


def _with_shared_units(matches: list[Match], text: list[str]) -> list[Match]:
    amounts = [m for m in matches if isinstance(m, AmountMatch)]
    if len(amounts) < 2:
        return matches
    shared = dict(zip((a.start for a in amounts), share_units(amounts, text), strict=True))
    return [shared[m.start] if isinstance(m, AmountMatch) else m for m in matches]


def _table_nouns(pack: DomainPack) -> frozenset[str]:
    """Plural nouns for rows: what a bare number in front of them counts."""
    nouns: set[str] = set()
    for table in pack.tables.values():
        for term in (*table.plurals, *(f"{t}s" for t in table.terms)):
            nouns.add(term.split()[-1])
        for terms in table.columns.values():
            if terms.role == "name":
                nouns.update(f"{t}s" for t in terms.terms if " " not in t)
    return frozenset(nouns)


def _replacements(english: English, names: NameIndex) -> dict[str, tuple[str, ...]]:
    table = names.joined()
    table |= {short: tuple(full.split()) for short, full in english.abbreviations.items()}
    table |= {short: tuple(full.split()) for short, full in english.contractions.items()}
    return table


def _speller(pack: DomainPack, names: NameIndex, english: English, vocabulary: Mapping[str, int]) -> Speller:
    weights: dict[str, int] = dict(vocabulary)
    for rank, word in enumerate(english.known_words[:1500]):
        weights.setdefault(word, 3000 - rank)
    for word in english.business_words | english.stop_words | english.superlatives | english.future_cues:
        weights[word] = max(weights.get(word, 0), _ENGLISH_WEIGHT)
    for word in (*MONTHS, *WEEKDAYS, *UNIT_WORDS, *UNITS, *TENS, *SCALES):
        weights[word] = max(weights.get(word, 0), _ENGLISH_WEIGHT)
    for word in _pack_vocabulary(pack):
        weights[word] = max(weights.get(word, 0), _TERM_WEIGHT)
    for word in names.words():
        weights[word] = max(weights.get(word, 0), _NAME_WEIGHT)
    accepted = {
        *english.known_words,
        *english.abbreviations,
        *english.contractions,
        *english.weak_words,
        *names.joined(),
    }
    return Speller(weights, accepted)


def _pack_vocabulary(pack: DomainPack) -> set[str]:
    words: set[str] = set()
    for table in pack.tables.values():
        phrases = [*table.terms, *table.plurals]
        for terms in table.columns.values():
            phrases.extend(terms.terms)
            for value, others in terms.values.items():
                phrases.extend((value.replace("_", " "), *others))
        for phrase in phrases:
            words.update(w for w in phrase.lower().split() if w.isalpha())
    for derived in pack.derived:
        for phrase in derived.terms:
            words.update(w for w in phrase.lower().split() if w.isalpha())
    return words
