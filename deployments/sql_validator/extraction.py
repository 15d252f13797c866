"""Finds the SQL in a model's output: bare, in a fence, or in prose, with or without a semicolon.

Where a statement ends is asked of a scanner that knows literals and comments, so that a semicolon or a fence inside of
them ends nothing; whether it is a statement is asked of PostgreSQL's grammar.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.grammar import GrammarError, Source, parse
from deployments.sql_validator.rules import TEXT_RULES, TOKEN_RULES
from deployments.sql_validator.rules.base import TokenText

_CONFIG = ValidatorConfig()
# Outputs are bounded by the generator; more than this is not searched.
_LONGEST_OUTPUT = 40_000
_MOST_STARTS = 40

_FENCE = re.compile(r"```[ \t]*([A-Za-z0-9_+-]*)[ \t]*\r?\n?")
_START = re.compile(r"(?<![\w.$'\"])(?:select|with|table|values)\b|\((?=[\s(]*(?:select|with)\b)", re.IGNORECASE)
_OTHER_START = re.compile(
    r"^[ \t]*(?:insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|copy|call|do|set|begin|explain)\b",
    re.IGNORECASE | re.MULTILINE,
)
# One lexical piece of SQL that may hold a semicolon or a fence without meaning it.
_OPAQUE = re.compile(
    r"'(?:[^']|'')*(?:'|\Z)|\"(?:[^\"]|\"\")*(?:\"|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|\$(?P<tag>[A-Za-z_][\w]*|)\$.*?(?:\$(?P=tag)\$|\Z)",
    re.DOTALL,
)
_STOP = re.compile(r";|```")
_SENTENCE_END = re.compile(r"[.:!?](?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of text that starts like SQL. ``closed`` says that a semicolon or a fence ends it."""

    text: str
    closed: bool
    after: str


def extract_sql(text: str) -> str | None:
    """The SQL statement of an output, without its semicolon; None if there is nothing like one.

    A statement that the grammar reads as a SELECT is preferred. Failing that, what stands in the place of one is
    given back as it is, so that a validator can say what is wrong with it.
    """
    text = text[:_LONGEST_OUTPUT]
    whole = _without_semicolon(text)
    if _START.match(whole) and _is_select(whole):
        return whole
    pieces = [*_fenced(text), *_in_prose(text)]
    for piece in pieces:
        found = _select_of(piece)
        if found is not None:
            return found
    return _without_semicolon(pieces[0].text) if pieces else _other_statement(text)


def _fenced(text: str) -> Iterator[_Piece]:
    position = 0
    while fence := _FENCE.search(text, position):
        end = _stop(text, fence.end(), "```")
        body = text[fence.end() : end]
        position = end + 3
        if body.strip():
            yield _Piece(body, True, "")


def _in_prose(text: str) -> Iterator[_Piece]:
    for start in list(_START.finditer(text))[:_MOST_STARTS]:
        end = _stop(text, start.start(), ";", "```")
        closed = end < len(text)
        yield _Piece(text[start.start() : end], closed, text[end + 1 :] if text[end : end + 1] == ";" else "")


def _stop(text: str, position: int, *marks: str) -> int:
    """Where the first of the marks stands outside of literals and comments; the end if nowhere."""
    while position < len(text):
        opaque = _OPAQUE.match(text, position)
        if opaque:
            position = opaque.end()
        elif any(text.startswith(mark, position) for mark in marks):
            return position
        else:
            position += 1
    return len(text)


def _select_of(piece: _Piece) -> str | None:
    text = _without_semicolon(piece.text)
    if _is_select(text):
        more = _without_semicolon(_lines_up_to_prose(piece.after))
        # Dropping a second statement would run half of what was written; let the whole be refused.
        return f"{text};{more}" if more and _is_sql(more) else text
    if piece.closed:
        return None
    return next((part for part in _shorter(text) if _is_select(part)), None)


def _shorter(text: str) -> Iterator[str]:
    """Beginnings of a text that may be the statement without the prose after it, longest first."""
    ends = {m.start() for m in re.finditer(r"\n", text)} | {m.start() for m in _SENTENCE_END.finditer(text)}
    for end in sorted(ends, reverse=True):
        yield text[:end].strip()


def _other_statement(text: str) -> str | None:
    start = _OTHER_START.search(text)
    if not start:
        return None
    return _without_semicolon(text[start.start() : _stop(text, start.start(), "```")])


def _lines_up_to_prose(text: str) -> str:
    return text.strip().split("\n\n", 1)[0]


def _without_semicolon(text: str) -> str:
    return text.strip().rstrip(";").rstrip()


def _is_select(text: str) -> bool:
    tree = _tree(text)
    return tree is not None and tree == ["select_stmt"]


def _is_sql(text: str) -> bool:
    return _tree(text) is not None


def _tree(text: str) -> list[str] | None:
    """Kinds of the statements in a text; None if it is not SQL or not safe to parse."""
    if any(rule(text, _CONFIG) for rule in TEXT_RULES):
        return None
    source = Source(text)
    try:
        tokens = TokenText(source, source.tokens(), _CONFIG)
        if any(rule(tokens) for rule in TOKEN_RULES):
            return None
        tree, _ = parse(source)
    except GrammarError:
        return None
    return [str(statement.stmt.WhichOneof("node")) for statement in tree.stmts]
