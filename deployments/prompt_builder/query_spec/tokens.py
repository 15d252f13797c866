"""The model's form of a specification: a short sequence of tokens, each one added token of the tokenizer.

Clauses and operators come first, operands after them, so that no commas and hardly any brackets are needed:
``<expenses><vendors.name><where><expenses.date><D0><desc><sum><expenses.amount><limit><N0>`` is the text
``expenses show vendors.name where date in D0 sort sum(amount) desc limit N0``. A lookup value is one token
with its column; what the vocabulary lacks (other texts, large numbers) reaches the output as a placeholder.

Encoded specifications are canonical (`canonical.py`); what is decoded is checked like any parsed text.
"""

from typing import Final

from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.check import check_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import Cannot, QuerySpec
from deployments.prompt_builder.query_spec.token_reader import read_tokens
from deployments.prompt_builder.query_spec.token_words import (
    KEYWORDS,
    NUMBERS,
    PLACEHOLDERS,
    schema_words,
    split,
    token,
)
from deployments.prompt_builder.query_spec.token_writer import write_tokens

MAX_TOKENS: Final = 400  # the longest specification of a real question has under 100


def vocabulary(context: SpecContext) -> tuple[str, ...]:
    """Every token that an encoded specification can hold: grammar, small numbers, placeholders, schema."""
    words = dict.fromkeys((*KEYWORDS, *NUMBERS, *PLACEHOLDERS, *schema_words(context)))
    return tuple(map(token, words))


def encode_tokens(spec: QuerySpec | Cannot, context: SpecContext) -> list[str]:
    """Tokens of the specification's canonical form.

    Raises:
        SpecError: it holds a text or number that the vocabulary lacks.
    """
    words = write_tokens(canonical(spec, context))
    missing = next(
        (w for w in words if w.startswith("<") and "=" in w and w[1:-1] not in schema_words(context)), None
    )
    if missing:
        raise SpecError(f"the value {missing} is not in the vocabulary", None, "a V placeholder")
    return words


def encode(spec: QuerySpec | Cannot, context: SpecContext) -> str:
    """The tokens of `encode_tokens` in one string, which a tokenizer splits back at the added tokens."""
    return "".join(encode_tokens(spec, context))


def decode(text: str, context: SpecContext) -> QuerySpec | Cannot:
    """The canonical specification that a model's output stands for.

    Raises:
        SpecError: the output is no specification, or one that makes no sense over this schema.
    """
    words = split(text)
    if len(words) > MAX_TOKENS:
        raise SpecError(f"{len(words)} tokens", None, f"at most {MAX_TOKENS}")
    spec = read_tokens(words, schema_words(context), context)
    if isinstance(spec, QuerySpec):
        check_spec(spec, context)
    return canonical(spec, context)
