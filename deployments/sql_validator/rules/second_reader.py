"""sqlglot as a second reader: it must see one query with the same tables and columns as PostgreSQL's grammar.

It is not the judge. Where both readers agree on every name, a text that was made to look harmless to one of
them has failed; where they do not, nothing runs. It reads the text that runs,
and the text that came in unless both have the same words and no comments.
"""

from typing import Literal

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from deployments.sql_validator.rules.base import UNREADABLE, Names, ParsedStatement, TreeRule, violation
from serve_app.contracts import Violation

_REFUSED = (
    exp.Command,
    exp.DML,
    exp.DDL,
    exp.Into,
    exp.Lock,
    exp.Parameter,
    exp.Placeholder,
    exp.SessionParameter,
    exp.Pragma,
    exp.Set,
)

_POSTGRES = Postgres()

# What a kind of node is to the comparison. Asking a class for its bases is slow, and a tree has many nodes of
# few kinds.
_Meaning = Literal["table", "column", "refused", "nothing"]
_MEANINGS: dict[type, _Meaning] = {}


def readers_agree(statement: ParsedStatement) -> list[Violation]:
    """The text that came in reads the same way to both."""
    return same_names(statement.source.sql, statement.names)


def same_names(sql: str, expected: Names) -> list[Violation]:
    """Compare the second reading of a text with the names that PostgreSQL's grammar reads in it.

    An error of the second reader counts as disagreement. Some nested texts take it exponential time, so the
    text must have passed the token rules.
    """
    try:
        trees = _POSTGRES.parse(sql)
    # Beside its own errors sqlglot raises whatever its builders run into, such as a failed assertion.
    except Exception as fault:
        return [_disagree(f"the statement is not written in plain PostgreSQL: {_short(fault)}")]
    trees = [t for t in trees if t is not None and not isinstance(t, exp.Semicolon)]
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        return [_disagree("the statement does not read as one SELECT")]
    names = Names()
    for node in trees[0].walk():
        kind = node.__class__
        meaning = _MEANINGS.get(kind) or _MEANINGS.setdefault(kind, _meaning(kind))
        if meaning == "nothing":
            continue
        if meaning == "refused":
            return [_disagree(f"{node.key} is not allowed")]
        if isinstance(node.this, exp.Identifier):
            names[meaning, _folded(node.this)] += 1
    if names == expected:
        return []
    different = {name for name in names.keys() | expected.keys() if names[name] != expected[name]}
    spelled = ", ".join(sorted(f'{kind} "{name}"' for kind, name in different))
    return [_disagree(f"the statement can be read in two ways ({spelled}); write it more plainly")]


def _meaning(kind: type[exp.Expr]) -> _Meaning:
    if issubclass(kind, _REFUSED) and not issubclass(kind, exp.Query):
        return "refused"
    return "table" if issubclass(kind, exp.Table) else "column" if issubclass(kind, exp.Column) else "nothing"


def _folded(identifier: exp.Identifier) -> str:
    return str(identifier.this) if identifier.args.get("quoted") else str(identifier.this).lower()


def _short(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:200]


def _disagree(reason: str) -> Violation:
    return violation("readers_disagree", reason, UNREADABLE)


AGREEMENT_RULES: tuple[TreeRule, ...] = (readers_agree,)
