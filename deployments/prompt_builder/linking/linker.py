"""The linker: a question's names, dates and amounts become typed placeholders."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.amounts import AmountGrammar, AmountMatch
from deployments.prompt_builder.linking.codes import CodeIndex
from deployments.prompt_builder.linking.dates import DateGrammar
from deployments.prompt_builder.linking.english import English, load_english
from deployments.prompt_builder.linking.figures import settle_figures
from deployments.prompt_builder.linking.phrases import Phrases
from deployments.prompt_builder.linking.rendering import LinkedQuestion, Match, placeholder_vocabulary, render
from deployments.prompt_builder.linking.shared_units import share_units
from deployments.prompt_builder.linking.tokens import (
    PUNCTUATION,
    Words,
    fold,
    settle_symbols,
    symbol,
    token_pattern,
)
from deployments.prompt_builder.linking.values import NameIndex
from deployments.prompt_builder.linking.vocabulary import (
    completions,
    replacements,
    speller,
    starting_nouns,
    table_nouns,
)
from serve_app.contracts import SchemaSnapshot

__all__ = ["LinkedQuestion", "Linker", "placeholder_vocabulary"]

_MAX_QUESTION_CHARS: Final = 4000
# Words of questions, each a few hundred bytes with its reading; a longer one is not worth keeping.
_WORDS_CACHED: Final = 50_000
_LONGEST_CACHED_CHARS: Final = 40
# Shorter ones are particles and abbreviations more often than words nobody knows.
_SHORTEST_UNKNOWN: Final = 4
_PLACEHOLDERS: Final = re.compile(r"<[^<>]*>")


class Linker:
    """Links questions over one schema; build once per schema fingerprint, then call `link` from any thread.

    ``vocabulary``: words the model was trained on with their frequencies, for spelling.
    """

    def __init__(
        self,
        schema: SchemaSnapshot,
        pack: DomainPack,
        vocabulary: Mapping[str, int] | None = None,
        english: English | None = None,
    ) -> None:
        self.fingerprint = schema.fingerprint
        self._english = english or load_english()
        self._from_sunday = pack.week_starts_on == "sunday"
        self._names = NameIndex(schema, pack, self._english)
        self._nouns = table_nouns(pack)
        self._starting = starting_nouns(pack)
        self._speller = speller(pack, self._names, self._english, vocabulary or {})
        self._completions = completions(pack)
        self._phrases = Phrases(self._english.phrases)
        self._replacements = replacements(self._english, self._names)
        self._codes = CodeIndex(schema, pack, self._names)
        self._pattern = token_pattern(tuple(code.expression() for code in self._codes.patterns))
        self._canonical: dict[str, tuple[str, ...]] = {}

    def link(self, question: str, today: date) -> LinkedQuestion:
        """Resolve what the question names; ``today`` decides undated months and weekdays."""
        words = self._words(question[:_MAX_QUESTION_CHARS])
        return render(question, words, self._matches(words, today), today)

    def unknown_words(self, linked: str) -> int:
        """Words of a linked question's text that no vocabulary holds and nothing resolved."""
        words = self._pattern.findall(_PLACEHOLDERS.sub(" ", linked))
        return sum(
            len(word) >= _SHORTEST_UNKNOWN and word.isalpha() and not self._speller.knows(word)
            for word in words
        )

    # words

    def _words(self, question: str) -> Words:
        words = Words(question)
        for token in self._pattern.finditer(fold(question)):
            raw = token.group()
            start, end = token.span()
            known = self._canonical.get(raw)
            if known is None:
                known = self._canonicalise(raw)
            if known[-1] == "'s":
                words.add(known[:-1], start, end - 2, question[start].isupper())
                words.add(known[-1:], end - 2, end)
            else:
                words.add(known, start, end, question[start].isupper())
        return self._phrases.settle(settle_figures(settle_symbols(words)))

    def _canonicalise(self, raw: str) -> tuple[str, ...]:
        words = self._reading(raw)
        if len(raw) > _LONGEST_CACHED_CHARS:
            return words
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
            return (self._completions.get(raw) or self._names.completion(raw) or raw,)
        return (raw,)

    # matches

    def _matches(self, words: Words, today: date) -> list[Match]:
        text = words.text
        dates = DateGrammar(text, words.capital, today, self._english, self._starting)
        amounts = AmountGrammar(text, self._nouns, self._english.superlatives)
        sentence_case = not words.all_capital()
        found: list[Match] = []
        i = 0
        while i < len(text):
            match = self._best(words, i, dates, amounts, sentence_case)
            if match is None:
                i += 1
            else:
                found.append(match)
                i = match.end
        return _with_shared_units(found, text)

    def _best(
        self, words: Words, i: int, dates: DateGrammar, amounts: AmountGrammar, sentence_case: bool
    ) -> Match | None:
        """The longest match at word ``i``: codes, then dates, names and numbers."""
        text = words.text
        if text[i] in PUNCTUATION:
            return None
        code = self._codes.match(words, i)
        if code is not None:
            return code
        dated = dates.match(i)
        if dated is not None and self._from_sunday:
            dated = replace(dated, period=dated.period.from_sunday())
        named = self._names.match(words, i, sentence_case)
        if dated is not None and (named is None or dated.end >= named.end):
            return dated
        return named or amounts.match(i)


def _with_shared_units(matches: list[Match], text: list[str]) -> list[Match]:
    amounts = [m for m in matches if isinstance(m, AmountMatch)]
    if len(amounts) < 2:
        return matches
    shared = dict(zip((a.start for a in amounts), share_units(amounts, text), strict=True))
    return [shared[m.start] if isinstance(m, AmountMatch) else m for m in matches]
