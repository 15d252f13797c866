"""Which example pairs a schema can carry: those whose tables and columns the caller's database really has."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlglot import exp

from deployments.prompt_builder.retrieval import Example
from serve_app.contracts import SchemaSnapshot
from serve_app.sql_tree import sql_tree


class Footprint(NamedTuple):
    """The stored names a statement uses; names it makes itself (aliases, CTEs) are not among them."""

    tables: frozenset[str]
    columns: frozenset[str]


def fitting_examples(
    examples: Sequence[Example], schema: SchemaSnapshot, with_values: bool = False
) -> tuple[Example, ...]:
    """The examples that name only what the schema has, so that none teaches a column that does not exist.

    ``with_values``: neither may they compare a column with a text that is not among its known values, such as
    the name of a project that is not the caller's.
    """
    columns = {table.name: frozenset(column.name for column in table.columns) for table in schema.tables}
    fitting = tuple(example for example in examples if _fits(footprint(example.sql), columns))
    if not with_values:
        return fitting
    known = _known_values(schema)
    return tuple(
        example
        for example in fitting
        if all(text_is_known(known.get(name), text) for name, text in compared_texts(example.sql))
    )


@lru_cache(maxsize=2048)
def footprint(sql: str) -> Footprint | None:
    """What a statement reads; None if it does not parse."""
    tree = sql_tree(sql)
    if tree is None:
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


def _known_values(schema: SchemaSnapshot) -> dict[str, frozenset[str]]:
    """Known values by the name of their column, of all tables together, case folded."""
    found: dict[str, set[str]] = {}
    for table in schema.tables:
        for column in table.columns:
            values = (*column.sample_values, *column.enum_values)
            found.setdefault(column.name, set()).update(value.casefold() for value in values)
    return {name: frozenset(values) for name, values in found.items()}


def text_is_known(values: frozenset[str] | None, text: str) -> bool:
    """Whether a text, or the pattern of a LIKE, is in one of the values; True where no value is known."""
    if not values:
        return True
    parts = [part for part in re.split(r"[%_]+", text.casefold()) if part]
    return any(all(part in value for part in parts) for value in values)


_COMPARISONS = (exp.EQ, exp.NEQ, exp.In, exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpILike)


@lru_cache(maxsize=2048)
def compared_texts(sql: str) -> tuple[tuple[str, str], ...]:
    """(column, text) for every text constant that a statement compares a column with."""
    tree = sql_tree(sql)
    if tree is None:
        return ()
    found: list[tuple[str, str]] = []
    for comparison in tree.find_all(*_COMPARISONS):
        names = {column.name for column in comparison.find_all(exp.Column)}
        texts = [literal.name for literal in comparison.find_all(exp.Literal) if literal.is_string]
        found += [(name, text) for name in names for text in texts]
    return tuple(dict.fromkeys(found))
