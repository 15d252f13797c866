"""The words of the token form and how names of the schema become tokens."""

import re
from typing import Final

from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.words import (
    AGGREGATES,
    DATE_PARTS,
    FUNCTIONS,
    WINDOWS,
    quote_name,
    quote_text,
)

OPERATORS: Final = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
COMPARISONS: Final = {"=": "eq", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}  # != is not eq
KEYWORDS: Final = (
    *("cannot", "distinct", "where", "asc", "desc", "limit", "per", "offset"),
    *AGGREGATES,
    *("of", "if", "by", "overall", "all"),
    *WINDOWS,
    *DATE_PARTS,
    *FUNCTIONS,
    *("bucket", "flag", "today", "begin", "end", "close"),
    *OPERATORS.values(),
    *COMPARISONS.values(),
    *("in", "between", "null", "before", "after", "contains", "starts", "any", "no", "or", "and", "not"),
)
NUMBERS: Final = tuple(str(n) for n in (*range(13), 24, 30, 60, 90, 100, 365, 1000))
PLACEHOLDERS: Final = (
    *(f"N{i}" for i in range(8)),
    *(f"V{i}" for i in range(8)),
    *(f"D{i}" for i in range(6)),
)
_RESERVED: Final = frozenset(KEYWORDS)
_TOKEN: Final = re.compile(r"""<((?:[^<>'"]|'(?:[^']|'')*'|"(?:[^"]|"")*")+)>""")


def token(word: str) -> str:
    return f"<{word}>"


def table_token(table: str) -> str:
    return token(quote_name(table, _RESERVED))


def column_token(table: str, column: str) -> str:
    """The token of a column, a derived value or a predicate."""
    return token(f"{quote_name(table)}.{quote_name(column)}")


def lookup_token(table: str, column: str, value: str) -> str:
    return token(f"{quote_name(table)}.{quote_name(column)}={quote_text(value)}")


def split(text: str) -> list[str]:
    """The tokens of an output, without their angle brackets; blanks between tokens are allowed.

    Raises:
        SpecError: something that is no token.
    """
    words: list[str] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SpecError(
                f"no token at {text[position : position + 20]!r}", position, "tokens of the vocabulary"
            )
        words.append(match[1])
        position = match.end()
        while position < len(text) and text[position].isspace():
            position += 1
    return words


def schema_words(context: SpecContext) -> dict[str, tuple[str, ...]]:
    """Every schema word with what it names: (table,), (table, name) or (table, column, value)."""
    if not context.words:
        context.words.update(_schema_words(context))
    return context.words


def _schema_words(context: SpecContext) -> dict[str, tuple[str, ...]]:
    words: dict[str, tuple[str, ...]] = {table_token(t)[1:-1]: (t,) for t in context.tables}
    for table, name in (*context.columns, *context.derived):
        words.setdefault(column_token(table, name)[1:-1], (table, name))
    for table, column in context.columns:
        for value in context.lookup_values(table, column):
            words[lookup_token(table, column, value)[1:-1]] = (table, column, value)
    return words
