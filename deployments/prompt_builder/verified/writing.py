"""Reading a verified statement into a tree that can be written back without changing its meaning."""

import sqlglot
from sqlglot import exp

from deployments.sql_validator.grammar import GrammarError, Source, parse, same_tree
from serve_app.sql_tree import sql_tree


def read_statement(sql: str) -> exp.Expr | None:
    """The tree of one statement; None unless what is written of it is the same to PostgreSQL's grammar."""
    tree = sql_tree(sql)
    if not isinstance(tree, exp.Query):
        return None
    try:
        same = same_tree(parse(Source(sql))[1], parse(Source(written(tree)))[1])
    except (sqlglot.errors.SqlglotError, GrammarError):
        return None
    return tree if same else None


def written(tree: exp.Expr) -> str:
    """PostgreSQL text of a tree, without comments."""
    for node in tree.find_all(exp.TimestampTrunc, exp.DateTrunc, exp.Interval):
        unit = node.args.get("unit")
        if isinstance(unit, exp.Var):
            # sqlglot reads units as upper case; PostgreSQL sees the text of a literal there.
            unit.set("this", unit.name.lower())
    return _spelled_for_postgres(tree).sql(dialect="postgres", comments=False)


def _spelled_for_postgres(tree: exp.Expr) -> exp.Expr:
    """A copy in which nothing is left that sqlglot would write as something else to PostgreSQL's grammar.

    sqlglot casts what it rounds, for values that might be of type double precision, and writes
    ``NOT x IN (…)`` for ``x NOT IN (…)``, which is an operator of its own. Its generator has places to change
    that, but may be compiled, and then cannot be inherited from.
    """
    copy = tree.copy()
    # From the innermost outwards: what is put in place of a node holds text of all that is below it.
    for node in reversed(list(copy.walk())):
        if isinstance(node, exp.Round):
            arguments = [a for a in (node.this, node.args.get("decimals")) if a is not None]
            node.replace(exp.Anonymous(this="ROUND", expressions=arguments))
        elif isinstance(node, exp.Not) and isinstance(node.this, (exp.In, exp.Between)):
            inner = node.this
            subject = inner.this.sql(dialect="postgres", comments=False)
            inner.set("this", exp.Var(this=f"{subject} NOT"))
            node.replace(inner)
    return copy


def without_cap(sql: str, row_cap: int | None) -> str:
    """A statement without the outer LIMIT that the validator put on it; it is no part of what was asked."""
    tree = read_statement(sql) if row_cap is not None else None
    limit = tree.args.get("limit") if tree is not None else None
    if tree is None or not isinstance(limit, exp.Limit) or limit.expression.name != str(row_cap):
        return sql
    tree.set("limit", None)
    return written(tree)
