"""Texts under an output grammar: whether it takes one, and random ones that it lets a model write."""

from collections.abc import Sequence
from functools import cache
from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from deployments.generator.grammar import GrammarCompiler, GrammarError, RowMatchers
from deployments.generator.training.config import TokenizerConfig
from deployments.generator.training.tokenizer import train_tokenizer

SAMPLE_TEXT = (
    "SELECT name, sum(amount) AS total FROM expenses WHERE date >= CURRENT_DATE GROUP BY name ORDER BY"
)

BLANK = "\u0120"
ENDINGS = (")", "'", BLANK, "digit")


class Grammars:
    """Grammars over a small tokenizer; ``words`` are its whole-word tokens."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.tokenizer: PreTrainedTokenizerFast = train_tokenizer(
            [SAMPLE_TEXT], words, TokenizerConfig(vocab_size=330, min_frequency=1)
        )
        self.end = self.tokenizer.eos_token_id
        self.compiler = GrammarCompiler(
            self.tokenizer.backend_tokenizer, len(self.tokenizer), frozenset({self.end})
        )

    def takes(self, grammar: str, text: str) -> bool:
        """Whether the text is an output of the grammar, from its beginning to its end."""
        matchers = self.compiler.matchers(grammar)
        try:
            for token in [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end]:
                matchers.follow([(0, token)])
        except GrammarError:
            return False
        return True

    def allowed(self, matchers: RowMatchers) -> list[int]:
        logprobs = torch.zeros(1, len(self.tokenizer))
        matchers.forbid(logprobs)
        return torch.nonzero(logprobs[0] == 0).flatten().tolist()

    def walk(self, grammar: str, random: Random, most: int, beginning: str = "") -> str | None:
        """A random output; None if it has not ended after ``most`` tokens.

        From half of them on it takes what closes and ends where it can.
        """
        matchers = self.compiler.matchers(grammar)
        tokens: list[int] = self.tokenizer(beginning, add_special_tokens=False)["input_ids"]
        for token in tokens:
            matchers.follow([(0, token)])
        while len(tokens) < most:
            allowed = self.allowed(matchers)
            ending = len(tokens) > most / 2
            if self.end in allowed and (ending or len(allowed) == 1 or random.random() < 0.3):
                return self.tokenizer.decode(tokens)
            tokens.append(self._drawn([token for token in allowed if token != self.end], random, ending))
            matchers.follow([(0, tokens[-1])])
        return None

    def _drawn(self, allowed: list[int], random: Random, ending: bool) -> int:
        """Letters, digits and each sign are as likely as each other: no text in quotes goes on for long."""
        sorts: dict[str, list[int]] = {}
        for token in allowed:
            text = self.tokenizer.convert_ids_to_tokens(token)
            sorts.setdefault(_sort(text[0]), []).append(token)
        first = next((sort for sort in ENDINGS if sort in sorts), None) if ending else None
        return random.choice(sorts[first or random.choice(list(sorts))])


def _sort(character: str) -> str:
    """The sort of a token by its first character, as a byte-level tokenizer writes it."""
    if character.isdigit():
        return "digit"
    if character.isascii():
        return "letter" if character.isalpha() else character
    return character if character == BLANK else "other"


@cache
def plain_grammars() -> Grammars:
    """Over a tokenizer without words of its own."""
    return Grammars()
