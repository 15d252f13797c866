"""Output grammars: after each token, which may follow, for every row of a request (llguidance).

A grammar is a text in llguidance's dialect of Lark and describes the *text* of an output. Two things follow
from the tokenizer and are done here: an output may end only where the grammar is satisfied, and a literal
that spells a whole word of the tokenizer (``"<limit>"`` of a house model) stands for that one token and not
for its letters. Control tokens can never be named.

Scores stay the model's own: a forbidden token's log-probability becomes minus infinity and the others keep
theirs, so that beams compete by the likelihood of what they say and a low score still tells that the model
would rather have said something else.
"""

import hashlib
import json
import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Final

import torch
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer

from deployments.generator.sequences import NextRow
from serve_app.errors import InvalidRequest

GRAMMARS_KEPT: Final = 48  # a few megabytes each
BITS: Final = 32  # of a mask's words
BYTE: Final = 8
FORBIDDEN: Final = float("-inf")

# Comments and regular expressions are skipped, so that what looks like a literal inside them stays.
_LITERAL: Final = re.compile(r'//[^\n]*|/(?:\\.|[^/\\\n])+/|(?P<literal>"(?:\\.|[^"\\\n])*")(?P<flag>i?)')

_TOKEN: Final = r"<\[\d+\]>"
_CHOICE: Final = re.compile(rf"\(\s*{_TOKEN}(?:\s*\|\s*{_TOKEN})*\s*\)|{_TOKEN}")
_NUMBER: Final = re.compile(r"\d+")


class GrammarError(Exception):
    """A grammar that ran into a limit, or a token that it does not allow."""


class RowMatchers:
    """Where each row of one request stands in its grammar. Used by one thread."""

    def __init__(self, start: LLMatcher) -> None:
        self._rows = [start]

    def forbid(self, logprobs: torch.Tensor) -> None:
        """Set what may not follow to minus infinity, in place.

        Args:
            logprobs: rows x vocabulary, in the order of the request's rows.

        Raises:
            GrammarError: the grammar became too complex.
        """
        words = torch.empty((len(self._rows), -(-logprobs.shape[1] // BITS)), dtype=torch.int32)
        for row, matcher in enumerate(self._rows):
            matcher.unsafe_compute_mask_ptr(words[row].data_ptr(), words.shape[1] * words.element_size())
            _check(matcher)
        allowed = _unpacked(words.view(torch.uint8).to(logprobs.device))[:, : logprobs.shape[1]]
        logprobs.masked_fill_(allowed == 0, FORBIDDEN)

    def follow(self, next_rows: Sequence[NextRow]) -> None:
        """Go on with these (parent row, token) pairs: a row that forks copies its state and replays nothing.

        Raises:
            GrammarError: a token is not allowed after its parent.
        """
        heirs = {parent: place for place, (parent, _) in enumerate(next_rows)}
        matchers = [
            self._rows[parent] if heirs[parent] == place else self._rows[parent].deep_copy()
            for place, (parent, _) in enumerate(next_rows)
        ]
        for matcher, (_, token) in zip(matchers, next_rows, strict=True):
            matcher.consume_token(token)
            _check(matcher)
        self._rows = matchers


class GrammarCompiler:
    """Compiles grammars for one model and keeps the latest ones. May be called from any thread."""

    def __init__(self, backend: Tokenizer, vocabulary: int, end_tokens: frozenset[int]) -> None:
        """``vocabulary``: how many logits the model gives, which may be more than the tokenizer knows."""
        self._backend = backend
        self._vocabulary = max(vocabulary, backend.get_vocab_size(with_added_tokens=True))
        self._end_tokens = sorted(end_tokens)
        self._words = {
            token.content: number
            for number, token in backend.get_added_tokens_decoder().items()
            if not token.special
        }
        self._tokenizer: LLTokenizer | None = None
        self._compiled: OrderedDict[bytes, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def matchers(self, grammar: str) -> RowMatchers:
        """State at the beginning of an output. Milliseconds for a new grammar, microseconds for a known one.

        Raises:
            InvalidRequest: the grammar is wrong or too large.
        """
        key = hashlib.sha256(grammar.encode()).digest()
        with self._lock:
            start = self._compiled.get(key)
            if start is None:
                start = self._compiled[key] = self._compile(grammar)
                if len(self._compiled) > GRAMMARS_KEPT:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            return RowMatchers(start.deep_copy())

    def _compile(self, grammar: str) -> LLMatcher:
        if self._tokenizer is None:
            self._tokenizer = LLTokenizer(
                self._backend.to_str(), n_vocab=self._vocabulary, eos_token=self._end_tokens
            )
        matcher = LLMatcher(self._tokenizer, self._with_tokens(grammar), log_level=0)
        if matcher.is_error():
            raise InvalidRequest(
                "The output grammar params.grammar is wrong; it must be in Lark syntax.",
                detail=matcher.get_error(),
            )
        return matcher

    def _with_tokens(self, grammar: str) -> str:
        """The grammar with the literals that are one word of the tokenizer replaced by that token."""

        def replaced(match: re.Match[str]) -> str:
            if match["literal"] is None or match["flag"]:
                return match[0]
            try:
                number = self._words.get(json.loads(match["literal"]))
            except json.JSONDecodeError:
                return match[0]
            return match[0] if number is None else f"<[{number}]>"

        return _with_token_sets(_LITERAL.sub(replaced, grammar))


def _with_token_sets(grammar: str) -> str:
    """The grammar with choices between single tokens as sets: one item for the parser and not one per token.

    llguidance takes a token for one set alone, so the sets are made disjoint: tokens that stand in the same
    choices make a set, and a choice is between such sets.
    """
    choices = {
        match[0]: frozenset(map(int, _NUMBER.findall(match[0]))) for match in _CHOICE.finditer(grammar)
    }
    places: dict[int, list[str]] = defaultdict(list)
    for choice, tokens in choices.items():
        for token in tokens:
            places[token].append(choice)
    sets: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for token, where in places.items():
        sets[tuple(where)].append(token)
    written: dict[str, list[str]] = defaultdict(list)
    for together_in, together in sets.items():
        for choice in together_in:
            written[choice].append(f"<[{','.join(map(str, together))}]>")
    return _CHOICE.sub(lambda match: f"({' | '.join(written[match[0]])})", grammar)


def _check(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise GrammarError(matcher.get_error())


def _unpacked(packed: torch.Tensor) -> torch.Tensor:
    """Bits of bytes, lowest first: rows x bytes to rows x (8 * bytes)."""
    places = torch.arange(BYTE, dtype=torch.uint8, device=packed.device)
    return ((packed[:, :, None] >> places) & 1).flatten(1)
