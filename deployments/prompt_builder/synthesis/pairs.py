"""The endless stream of (prompt, target tokens) pairs that the house model learns from."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from deployments.prompt_builder.house.form import FORM_TOKENS
from deployments.prompt_builder.linking.linker import placeholder_vocabulary
from deployments.prompt_builder.query_spec import tokens
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.synthesis.prompt_form import prompt_text
from deployments.prompt_builder.synthesis.synthesizer import Example, Synthesizer
from serve_app.paths import PROJECT_ROOT

DEFAULT_FOLDER = PROJECT_ROOT / "configs" / "domains" / "construction"
HELD_OUT_SHARE = 50  # one linked question in fifty, by hash, is never trained on
_MAX_TRIES = 50


class SynthesisError(RuntimeError):
    """The schema and the pack together give no pairs."""


@dataclass(slots=True)
class PairStream:
    """``stream(seed, start)`` yields pairs from index ``start`` on; pair i is a function of seed and i alone.

    ``without_writers`` leaves the natural phrasings of these writers out (leave-one-writer-out evaluation).
    """

    folder: Path = DEFAULT_FOLDER
    part: Literal["train", "held_out"] = "train"
    without_writers: frozenset[str] = frozenset()
    _synthesizer: Synthesizer | None = field(default=None, repr=False)
    _context: SpecContext | None = field(default=None, repr=False)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.folder, self.part, self.without_writers

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.folder, self.part, self.without_writers = state
        self._synthesizer = self._context = None

    @property
    def synthesizer(self) -> Synthesizer:
        if self._synthesizer is None:
            self._synthesizer = Synthesizer(self.folder, without_writers=self.without_writers)
        return self._synthesizer

    @property
    def context(self) -> SpecContext:
        if self._context is None:
            self._context = self.synthesizer.context
        return self._context

    def __call__(self, seed: int, start: int) -> Iterator[tuple[str, str]]:
        for index in self._indices(start):
            _, prompt, target = self._pair(seed, index)
            yield prompt, target

    def examples(self, seed: int, start: int) -> Iterator[tuple[Example, str, str]]:
        """Examples with their prompt and target, for reports and evaluation."""
        for index in self._indices(start):
            yield self._pair(seed, index)

    @staticmethod
    def _indices(start: int) -> Iterator[int]:
        while True:
            yield start
            start += 1

    def _pair(self, seed: int, index: int) -> tuple[Example, str, str]:
        rng = random.Random(f"{seed}:{index}")
        for _ in range(_MAX_TRIES if self.part == "train" else _MAX_TRIES * HELD_OUT_SHARE):
            example = self.synthesizer.draw(rng, index)
            if example is None or (self.part == "held_out") != held_out(example.linked.text):
                continue
            try:
                return example, prompt_text(example, self.context), tokens.encode(example.spec, self.context)
            except SpecError as error:
                self.synthesizer.tally.dropped[example.kind, f"spec: {str(error)[:60]}"] += 1
        raise SynthesisError(
            f"no pair in {_MAX_TRIES} tries at seed {seed}, index {index}; look at the drop report"
        )

    def vocabulary(self) -> tuple[str, ...]:
        """Tokens that the tokenizer must keep whole: the targets' and the linker's."""
        linked = placeholder_vocabulary(self.synthesizer.schema, self.synthesizer.pack)
        return tuple(dict.fromkeys((*tokens.vocabulary(self.context), *linked, *FORM_TOKENS)))


def held_out(text: str) -> bool:
    """Whether a linked question belongs to the held-out part."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) % HELD_OUT_SHARE == 0


_DEFAULT = PairStream()


def pairs(seed: int, start: int = 0) -> Iterator[tuple[str, str]]:
    """Training pairs over the construction pack, from index ``start`` on."""
    return _DEFAULT(seed, start)


def vocabulary() -> tuple[str, ...]:
    """Whole-word tokens of the construction pack."""
    return _DEFAULT.vocabulary()
