"""Which example pairs a schema can carry: those whose tables and columns the caller's database really has."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import sqlglot
from sqlglot import exp

from deployments.prompt_builder.retrieval import Example
from serve_app.contracts import SchemaSnapshot


class Footprint(NamedTuple):
    """The stored names a statement uses; names it makes itself (aliases, CTEs) are not among them."""

    tables: frozenset[str]
    columns: frozenset[str]


def fitting_examples(examples: Sequence[Example], schema: SchemaSnapshot) -> tuple[Example, ...]:
    """The examples that name only what the schema has, so that none teaches a column that does not exist."""
    columns = {table.name: frozenset(column.name for column in table.columns) for table in schema.tables}
    return tuple(example for example in examples if _fits(footprint(example.sql), columns))


@lru_cache(maxsize=2048)
def footprint(sql: str) -> Footprint | None:
    """What a statement reads; None if it does not parse."""
    try:
        tree = sqlglot.parse_one(sql, read="postgres")
    except sqlglot.errors.ParseError:
        return None
    own_tables = {cte.alias for cte in tree.find_all(exp.CTE)}
    own_columns = {alias.alias for alias in tree.find_all(exp.Alias)}
    for alias in tree.find_all(exp.TableAlias):
        own_columns |= {alias.name, *(identifier.name for identifier in alias.columns)}
    return Footprint(
        tables=frozenset(table.name for table in tree.find_all(exp.Table)) - own_tables,
        columns=frozenset(column.name for column in tree.find_all(exp.Column)) - own_columns - {"*"},
    )


def _fits(used: Footprint | None, columns: dict[str, frozenset[str]]) -> bool:
    if used is None or not used.tables <= columns.keys():
        return False
    return used.columns <= frozenset().union(*(columns[table] for table in used.tables))
