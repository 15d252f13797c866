"""SQL as sqlglot's tree, for what only looks at statements. What may run is the validator's to say."""

import sqlglot
from sqlglot import exp


def sql_tree(sql: str) -> exp.Expr | None:
    """The tree of one PostgreSQL statement or expression; None if sqlglot cannot read it as one."""
    try:
        return sqlglot.parse_one(sql, read="postgres")
    # Beside its own errors sqlglot raises whatever its builders run into: compiled, a TypeError.
    except Exception:
        return None
