"""sqlglot as a second reader: it must see one query with the same tables and columns as PostgreSQL's grammar.

It is not the judge. Where both readers agree on every name, a text that was made to look harmless to one of
them has failed; where they do not, nothing runs.
"""

from collections import Counter

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from deployments.sql_validator.rules.base import UNREADABLE, ParsedStatement, TreeRule, violation
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

Names = Counter[tuple[str, str]]


def readers_agree(statement: ParsedStatement) -> list[Violation]:
    """Compare both readings; an error of the second reader counts as disagreement."""
    try:
        trees = _POSTGRES.parse(statement.source.sql)
    # Beside its own errors sqlglot raises whatever its builders run into, such as a failed assertion.
    except Exception as fault:
        return [_disagree(f"the statement is not written in plain PostgreSQL: {_short(fault)}")]
    trees = [t for t in trees if t is not None and not isinstance(t, exp.Semicolon)]
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        return [_disagree("the statement does not read as one SELECT")]
    names: Names = Counter()
    for node in trees[0].walk():
        if isinstance(node, _REFUSED) and not isinstance(node, exp.Query):
            return [_disagree(f"{node.key} is not allowed")]
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            names["table", _folded(node.this)] += 1
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
            names["column", _folded(node.this)] += 1
    different = names.keys() ^ (expected := _names(statement)).keys() or {
        n for n in names if names[n] != expected[n]
    }
    if different:
        spelled = ", ".join(sorted(f'{kind} "{name}"' for kind, name in different))
        return [_disagree(f"the statement can be read in two ways ({spelled}); write it more plainly")]
    return []


def _names(statement: ParsedStatement) -> Names:
    names: Names = Counter()
    for table in statement.of("RangeVar"):
        names["table", table.relname] += 1
    for reference in statement.of("ColumnRef"):
        last = reference.fields[-1]
        if last.WhichOneof("node") == "string":
            names["column", last.string.sval] += 1
    return names


def _folded(identifier: exp.Identifier) -> str:
    return str(identifier.this) if identifier.args.get("quoted") else str(identifier.this).lower()


def _short(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:200]


def _disagree(reason: str) -> Violation:
    return violation("readers_disagree", reason, UNREADABLE)


AGREEMENT_RULES: tuple[TreeRule, ...] = (readers_agree,)
