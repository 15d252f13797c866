"""Rules on the tokens of PostgreSQL's lexer. They run before any parser and protect the parsers.

sqlglot takes twice the time for each level of a call named like a type or of an array bracket, and recurses
on brackets; libpg_query recurses on chains of operators and ends the process when the stack does. The
literal rules refuse the forms that the two lexers cut differently.
"""

import re
import unicodedata

from sqlglot.dialects.postgres import Postgres

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.grammar import Source, Token, pg
from deployments.sql_validator.rules.base import TOO_COMPLEX, UNREADABLE, TokenRule, TokenText, violation
from serve_app.contracts import Violation

_COMMENTS = frozenset({pg.SQL_COMMENT, pg.C_COMMENT})
_LITERALS_REFUSED = {
    pg.BCONST: "a bit-string literal",
    pg.XCONST: "a hexadecimal literal",
    pg.USCONST: "a U&'…' literal",
    pg.UIDENT: 'a U&"…" identifier',
    pg.NCHAR: "NCHAR or N'…'",
}
_KINDS_WITH_FORMS = frozenset({pg.SCONST, pg.IDENT, pg.ICONST, pg.FCONST, *_LITERALS_REFUSED})
_OPEN = frozenset("([")
_CLOSE = frozenset(")]")
_TYPE_WORDS = frozenset(
    word.lower() for word, kind in Postgres.Tokenizer.KEYWORDS.items() if kind in Postgres.Parser.TYPE_TOKENS
) - {"null", "union", "name"}

# Tokens that nest the tree one level deeper each; the next comma, AND, OR or clause starts a new chain.
_CHAIN_WORDS = frozenset(
    {"::", "is", "not", "collate", "at", "isnull", "notnull", "like", "ilike", "similar", "in", "between"}
)
_SET_WORDS = frozenset({"union", "intersect", "except"})
# What a query may follow; in DROP TABLE and the like the word stands elsewhere.
_BEFORE_QUERY = frozenset({"(", ")", "all", "distinct"}) | _SET_WORDS
_CHAIN_ENDS = frozenset(
    {
        "and",
        "or",
        "when",
        "then",
        "else",
        "select",
        "from",
        "where",
        "group",
        "having",
        "order",
        "on",
        "as",
        "limit",
    }
)
_OPERATOR_CHARACTERS = frozenset("+-*/<>=~!@#%^&|`?")
_STRING = re.compile(r"'(?:[^']|'')*'")
# The regenerated text has E'…' with doubled backslashes, which every lexer reads alike; no other escape is.
_ESCAPED_STRING = re.compile(r"[eE]'(?:[^'\\]|''|\\\\)*'")
_NUMBER = re.compile(r"\d*\.?\d*([eE][+-]?\d+)?")
# Signs and NOTs before one value; each is a level of recursion in sqlglot. People write two at most.
_PREFIX_RUN = 8


def enough_tokens(text: TokenText) -> list[Violation]:
    if len(text.tokens) <= text.config.max_tokens:
        return []
    reason = f"the statement has {len(text.tokens)} tokens, at most {text.config.max_tokens} are allowed"
    return [violation("tokens", reason, TOO_COMPLEX)]


def bounded_nesting(text: TokenText) -> list[Violation]:
    """Brackets and CASE to ``max_depth``, calls named like types and arrays to ``max_type_call_depth``."""
    frames: list[bool] = []
    before = ""
    for token in text.code:
        word = token.word
        if word in _OPEN or word == "case":
            frames.append(word == "[" or (word == "(" and before in _TYPE_WORDS))
            if len(frames) > text.config.max_depth:
                reason = f"brackets or CASE are nested deeper than {text.config.max_depth} levels"
                return [violation("nesting", reason, TOO_COMPLEX, token.start)]
            if sum(frames) > text.config.max_type_call_depth:
                reason = "calls named like types (date, text, numeric …) or arrays are nested too deeply"
                return [violation("nesting", reason, TOO_COMPLEX, token.start)]
        elif (word in _CLOSE or word == "end") and frames:
            frames.pop()
        before = word
    return []


def bounded_chains(text: TokenText) -> list[Violation]:
    """At most ``max_chain`` operators in one expression, and joins or set operations in one query."""
    longest = text.config.max_chain
    around: list[tuple[int, int, int]] = []
    operators = sets = joins = prefixes = 0
    for token in text.code:
        word = token.word
        if word in _OPEN:
            around.append((operators, sets, joins))
            operators = sets = joins = prefixes = 0
        elif word in _CLOSE:
            operators, sets, joins = around.pop() if around else (operators, sets, joins)
            prefixes = 0
        elif word == "," or word in _CHAIN_ENDS:
            operators = prefixes = 0
        elif word in _SET_WORDS:
            sets, operators, joins = sets + 1, 0, 0
        elif word == "join":
            joins += 1
        elif word[0] in _OPERATOR_CHARACTERS or word in _CHAIN_WORDS:
            operators, prefixes = operators + 1, prefixes + 1
        else:
            prefixes = 0
        if operators > longest or sets > longest or joins > longest:
            reason = f"more than {longest} operators, joins or set operations in a row"
            return [violation("nesting", reason, TOO_COMPLEX, token.start)]
        if prefixes > _PREFIX_RUN:
            reason = f"more than {_PREFIX_RUN} signs or NOTs in front of one value"
            return [violation("nesting", reason, TOO_COMPLEX, token.start)]
    return []


def _is_operator(token: Token) -> bool:
    return token.text[0] in _OPERATOR_CHARACTERS


def plain_literals(text: TokenText) -> list[Violation]:
    """Only '…' strings on one piece, decimal numbers and "…" identifiers without invisible characters."""
    found = []
    for token in text.code:
        # Most tokens are words and signs; only these kinds have forms.
        if token.kind not in _KINDS_WITH_FORMS and token.text.isascii():
            continue
        form = _refused_form(token)
        if form:
            reason = f"{form} is not allowed; write a plain '…' literal or name"
            found.append(violation("literal", reason, UNREADABLE, token.start))
    return found


def _refused_form(token: Token) -> str | None:
    if token.kind in _LITERALS_REFUSED:
        return _LITERALS_REFUSED[token.kind]
    if token.kind == pg.SCONST:
        if token.text[0] == "$":
            return "a $$…$$ literal"
        if token.text[0] in "eE":
            return None if _ESCAPED_STRING.fullmatch(token.text) else "an E'…' literal with escapes"
        if not _STRING.fullmatch(token.text):
            return "a literal continued over lines"
    elif token.kind == pg.IDENT and token.text[0] == '"':
        if any(unicodedata.category(c)[0] in "ZC" and c != " " for c in token.text):
            return "an identifier with invisible characters"
    elif not token.text.isascii():
        return f"the name {token.text!r} outside of double quotes"
    elif token.kind in (pg.ICONST, pg.FCONST) and not _NUMBER.fullmatch(token.text):
        return f"the number {token.text!r}"
    return None


def no_parameters(text: TokenText) -> list[Violation]:
    """No $1 and the like: there is nobody to fill them in."""
    return [
        violation("parameter", f"{t.text} is a parameter; write the value itself", UNREADABLE, t.start)
        for t in text.tokens
        if t.kind == pg.PARAM
    ]


def no_table_command(text: TokenText) -> list[Violation]:
    """TABLE t is short for SELECT * FROM t; its tree does not tell, and people are shown what was asked."""
    found = []
    before = "("
    for token in text.code:
        if token.word == "table" and before in _BEFORE_QUERY:
            reason = f"write SELECT with its columns in place of {token.text}"
            found.append(violation("select_only", reason, UNREADABLE, token.start))
        before = token.word
    return found


def separate_comments(text: TokenText) -> list[Violation]:
    """A comment glued to an operator is cut off differently by different lexers."""
    found = []
    for before, token in zip(text.tokens, text.tokens[1:], strict=False):
        if token.kind in _COMMENTS and before.end == token.start and _is_operator(before):
            reason = "a comment follows an operator without a space; leave the comment out"
            found.append(violation("comment", reason, UNREADABLE, token.start))
    return found


def nothing_between(text: TokenText) -> list[Violation]:
    """Between tokens stand only ASCII blanks, so that no lexer sees something that another skips."""
    end = 0
    sql = text.source.sql
    for token in (*text.tokens, None):
        start = token.start if token else len(sql)
        if start > end and sql[end:start].strip(" \t\n\r"):
            return [violation("characters", "there is something unreadable between words", UNREADABLE, end)]
        end = token.end if token else start
    return []


def token_text(source: Source, config: ValidatorConfig) -> TokenText:
    """Cut a text into tokens.

    Raises:
        GrammarError: a literal, identifier or comment does not end.
    """
    tokens = source.tokens()
    return TokenText(source, tokens, tuple(t for t in tokens if t.kind not in _COMMENTS), config)


TOKEN_RULES: tuple[TokenRule, ...] = (
    enough_tokens,
    bounded_nesting,
    bounded_chains,
    plain_literals,
    no_parameters,
    no_table_command,
    separate_comments,
    nothing_between,
)
