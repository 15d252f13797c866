"""The words a linker knows: their weights for spelling, their replacements, the nouns of the domain pack."""

from collections import Counter
from collections.abc import Iterator, Mapping

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.english import English
from deployments.prompt_builder.linking.numerals import SCALES, TENS, UNITS
from deployments.prompt_builder.linking.reading import MONTHS, UNIT_WORDS, WEEKDAYS
from deployments.prompt_builder.linking.spelling import EVERYDAY_WEIGHT, NAME_WEIGHT, Speller
from deployments.prompt_builder.linking.values import NameIndex

# Which of two equally near words a misspelling means: domain words before names before everyday English.
_TERM_WEIGHT = 1_000_000
_CORRECTION_WORDS = 6_000


def speller(pack: DomainPack, names: NameIndex, english: English, vocabulary: Mapping[str, int]) -> Speller:
    """A speller over pack, names and English; ``vocabulary``: trained words with their frequencies."""
    weights: Counter[str] = Counter()
    for rank, word in enumerate(english.known_words[:_CORRECTION_WORDS]):
        weights[word] = _CORRECTION_WORDS - rank
    everyday = english.business_words | english.stop_words | english.superlatives | english.future_cues
    for word in (*everyday, *MONTHS, *WEEKDAYS, *UNIT_WORDS, *UNITS, *TENS, *SCALES):
        weights[word] += EVERYDAY_WEIGHT
    for word, count in vocabulary.items():
        weights[word] += count
    for word in names.words():
        weights[word] += NAME_WEIGHT
    for word, count in pack_words(pack).items():
        weights[word] += _TERM_WEIGHT + 1000 * count
    accepted = {
        *english.known_words,
        *english.abbreviations,
        *english.contractions,
        *english.weak_words,
        *names.joined(),
        *names.short_forms(),
    }
    return Speller(weights, accepted)


def replacements(english: English, names: NameIndex) -> dict[str, tuple[str, ...]]:
    """Words written in place of others: contractions, abbreviations, joined names."""
    table = names.joined()
    table |= {short: tuple(full.split()) for short, full in english.abbreviations.items()}
    table |= {short: tuple(full.split()) for short, full in english.contractions.items()}
    return table


def pack_words(pack: DomainPack) -> Counter[str]:
    """Every word of the pack's terms and how often it occurs there."""
    counts: Counter[str] = Counter()
    for phrase in _phrases(pack):
        counts.update(w for w in phrase.lower().split() if w.isalpha())
    return counts


def table_nouns(pack: DomainPack) -> frozenset[str]:
    """Plural nouns for rows: what a bare number in front of them counts."""
    nouns: set[str] = set()
    for table in pack.tables.values():
        for term in (*table.plurals, *(f"{t}s" for t in table.terms)):
            nouns.add(term.split()[-1])
        for terms in table.columns.values():
            if terms.role == "name":
                nouns.update(f"{t}s" for t in terms.terms if " " not in t)
    return frozenset(nouns)


def starting_nouns(pack: DomainPack) -> frozenset[str]:
    """Nouns for the rows of tables whose main date is a start."""
    nouns: set[str] = set()
    for table in pack.tables.values():
        column = table.columns.get(table.date) if table.date else None
        if column is not None and "start" in {word for term in column.terms for word in term.split()}:
            nouns.update((*table.terms, *table.plurals, *(f"{term}s" for term in table.terms)))
    return frozenset(nouns)


def completions(pack: DomainPack) -> dict[str, str]:
    """Shortened words of four letters and more that only one term's family can stand for ("infra")."""
    families: dict[str, Counter[str]] = {}
    for word, count in pack_words(pack).items():
        for length in range(4, len(word) - 2):
            families.setdefault(word[:length], Counter())[word] += count
    result: dict[str, str] = {}
    for prefix, words in families.items():
        best = min(words, key=lambda w: (-words[w], len(w)))
        root = min(words, key=len)
        if all(word.startswith(root[:-1]) for word in words):
            result[prefix] = best
    return result


def _phrases(pack: DomainPack) -> Iterator[str]:
    for table in pack.tables.values():
        yield from (*table.terms, *table.plurals)
        for terms in table.columns.values():
            yield from terms.terms
            for value, others in terms.values.items() if terms.role != "name" else ():
                yield from (value.replace("_", " "), *others)
    for derived in pack.derived:
        yield from derived.terms
