"""Finds the SQL in a model's output: bare, in a fence, or in prose, with or without a semicolon.

Where a statement ends is asked of a scanner that knows literals and comments, so that a semicolon or a
fence inside of them ends nothing; whether it is a statement is asked of PostgreSQL's grammar.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.grammar import GrammarError, Source, parse
from deployments.sql_validator.rules import TEXT_RULES, TOKEN_RULES
from deployments.sql_validator.rules.tokens import token_text

_CONFIG = ValidatorConfig()
# Outputs are bounded by the generator; more than this is not searched.
_LONGEST_OUTPUT = 40_000
# Places where a statement may start or end that are tried; each costs a parse.
_MOST_STARTS = 40
_MOST_ENDS = 60

# At the start of a line: three backticks within a string literal open nothing.
_FENCE = re.compile(r"(?m)^[ \t]*```[ \t]*[A-Za-z0-9_+-]*[ \t]*\r?\n?")
_FENCE_END = re.compile("```")
_START = re.compile(r"(?<![\w.$'\"])(?:select|with)\b|\((?=[\s(]*(?:select|with)\b)", re.IGNORECASE)
_OTHER_START = re.compile(
    r"^[ \t]*(?:insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|copy|call|do|set|begin"
    r"|explain)\b",
    re.IGNORECASE | re.MULTILINE,
)
# One lexical piece of SQL that may hold a semicolon or a fence without meaning it.
_OPAQUE = re.compile(
    r"'(?:[^']|'')*(?:'|\Z)|\"(?:[^\"]|\"\")*(?:\"|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|\$(?P<tag>[A-Za-z_][\w]*|)\$.*?(?:\$(?P=tag)\$|\Z)",
    re.DOTALL,
)
# A semicolon, Markdown's backtick or a closing tag.
_PROSE_END = re.compile(r";|`|</[A-Za-z]")
_BLANK_LINE = re.compile(r"\n\s*\n")
_LINE_OR_SENTENCE_END = re.compile(r"\n|[.!?](?=\s|\Z)")
_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)
_SELECT = ["select_stmt"]
_BEGINS_PLAINLY = re.compile(r"(?:\A|[\n:`>])[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A stretch of the output that reads as one SELECT, and how sure it is to be the one that is meant."""

    start: int
    end: int
    sql: str
    doubtful: bool


def extract_sql(text: str) -> str | None:
    """The SQL statement of an output, without its semicolon; None if there is nothing like one.

    A statement that the grammar reads as a SELECT is preferred. Failing that, what stands in the place of
    one is given back as it is, so that a validator can say what is wrong with it.
    """
    text = text[:_LONGEST_OUTPUT]
    whole = _without_semicolon(text)
    if _kinds(whole):
        return whole
    bodies = [_without_semicolon(body) for body in _fenced(text)]
    for body in bodies:
        if _kinds(body):
            return body
    other = _other_statement(text)
    candidates = _outermost(list(_candidates(text)))
    if candidates:
        best = min(candidates, key=lambda c: (c.doubtful, c.start))
        if other is None or best.start < other.start():
            return best.sql
    if other is not None:
        return _without_semicolon(text[other.start() : _end(text, other.start(), _FENCE_END)])
    return next(iter(bodies), None) or _unreadable(text)


def _fenced(text: str) -> Iterator[str]:
    position = 0
    while fence := _FENCE.search(text, position):
        end = _end(text, fence.end(), _FENCE_END)
        position = end + 3
        if text[fence.end() : end].strip():
            yield text[fence.end() : end]


def _candidates(text: str) -> Iterator[_Candidate]:
    for found in list(_START.finditer(text))[:_MOST_STARTS]:
        start = found.start()
        end = _end(text, start, _PROSE_END)
        plain = _BEGINS_PLAINLY.search(text, 0, start) is not None
        sql = text[start:end].strip()
        if _kinds(sql) == _SELECT:
            # "I cannot select that" reads as a SELECT.
            if plain or not found[0].islower() or _FROM.search(sql):
                yield _Candidate(start, end, _with_what_follows(sql, text[end:]), not plain)
        elif not text.startswith(";", end):
            cut = next(
                (c for c in _ends_before(text, start, end) if _kinds(text[start:c].strip()) == _SELECT), 0
            )
            sql = text[start:cut].strip()
            if sql:
                yield _Candidate(start, cut, sql, not plain or not _FROM.search(sql))


def _ends_before(text: str, start: int, end: int) -> Iterator[int]:
    """Where prose may begin behind a statement: at blank lines, else at lines and sentences; last first."""
    for mark in (_BLANK_LINE, _LINE_OR_SENTENCE_END):
        yield from [m.start() for m in mark.finditer(text, start, end)][: -_MOST_ENDS - 1 : -1]


def _outermost(candidates: list[_Candidate]) -> list[_Candidate]:
    """Without the subqueries of others."""
    return [c for c in candidates if not any(o.start < c.start and c.end <= o.end for o in candidates)]


def _end(text: str, position: int, mark: re.Pattern[str]) -> int:
    """Where the mark stands first outside of literals and comments; the end of the text if nowhere."""
    while position < len(text):
        opaque = _OPAQUE.match(text, position)
        if opaque:
            position = opaque.end()
        elif mark.match(text, position):
            return position
        else:
            position += 1
    return len(text)


def _with_what_follows(sql: str, after: str) -> str:
    """The statement with a second one behind its semicolon, if there is one.

    Dropping it would run half of what was written; the validator refuses the whole.
    """
    if not after.startswith(";"):
        return sql
    more = _without_semicolon(after[1:].strip().split("\n\n", 1)[0])
    return f"{sql}; {more}" if more and _kinds(more) else sql


def _other_statement(text: str) -> re.Match[str] | None:
    """Where a line starts with a statement that is SQL but no SELECT."""
    for found in list(_OTHER_START.finditer(text))[:_MOST_STARTS]:
        if _kinds(text[found.start() : _end(text, found.start(), _PROSE_END)]):
            return found
    return None


def _unreadable(text: str) -> str | None:
    """What starts like a statement but is none: the first such line up to a blank line or a mark."""
    for found in _START.finditer(text):
        if _BEGINS_PLAINLY.search(text, 0, found.start()):
            end = _end(text, found.start(), _PROSE_END)
            return text[found.start() : end].split("\n\n", 1)[0].strip()
    return None


def _without_semicolon(text: str) -> str:
    return text.strip().rstrip(";").rstrip()


def _kinds(text: str) -> list[str]:
    """Kinds of the statements in a text; none if it is not SQL or not safe to parse."""
    if any(rule(text, _CONFIG) for rule in TEXT_RULES):
        return []
    source = Source(text)
    try:
        tokens = token_text(source, _CONFIG)
        if any(rule(tokens) for rule in TOKEN_RULES):
            return []
        tree, _ = parse(source)
    except GrammarError:
        return []
    return [str(statement.stmt.WhichOneof("node")) for statement in tree.stmts]
