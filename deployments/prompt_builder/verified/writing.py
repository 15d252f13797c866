"""Reading a verified statement into a tree that can be written back without changing its meaning."""

from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.generators.postgres import PostgresGenerator

from deployments.sql_validator.grammar import GrammarError, Source, parse, same_tree


class _Writer(PostgresGenerator):
    """PostgreSQL text that PostgreSQL's grammar reads as it read the original."""

    # sqlglot casts what it rounds, for values that might be of type double precision.
    TRANSFORMS: ClassVar[Any] = {
        kind: write for kind, write in PostgresGenerator.TRANSFORMS.items() if kind is not exp.Round
    }

    def not_sql(self, expression: exp.Not) -> str:
        """``x NOT IN (…)``, which to PostgreSQL is an operator of its own and not ``NOT x IN (…)``."""
        inner = expression.this
        if not isinstance(inner, (exp.In, exp.Between)):
            return super().not_sql(expression)
        subject, whole = self.sql(inner, "this"), self.sql(inner)
        return f"{subject} NOT{whole[len(subject) :]}"


def read_statement(sql: str) -> exp.Expr | None:
    """The tree of one statement; None unless what is written of it is the same to PostgreSQL's grammar."""
    try:
        tree = sqlglot.parse_one(sql, read="postgres")
        same = same_tree(parse(Source(sql))[1], parse(Source(written(tree)))[1])
    except (sqlglot.errors.SqlglotError, GrammarError):
        return None
    return tree if same and isinstance(tree, exp.Query) else None


def written(tree: exp.Expr) -> str:
    """PostgreSQL text of a tree, without comments."""
    for node in tree.find_all(exp.TimestampTrunc, exp.DateTrunc, exp.Interval):
        unit = node.args.get("unit")
        if isinstance(unit, exp.Var):
            # sqlglot reads units as upper case; PostgreSQL sees the text of a literal there.
            unit.set("this", unit.name.lower())
    return _Writer(dialect="postgres", comments=False).generate(tree)


def without_cap(sql: str, row_cap: int | None) -> str:
    """A statement without the outer LIMIT that the validator put on it; it is no part of what was asked."""
    tree = read_statement(sql) if row_cap is not None else None
    limit = tree.args.get("limit") if tree is not None else None
    if tree is None or not isinstance(limit, exp.Limit) or limit.expression.name != str(row_cap):
        return sql
    tree.set("limit", None)
    return written(tree)
