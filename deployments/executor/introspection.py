"""Reads the schema from the catalogs: what the login role may SELECT, with keys, comments and values.

Values of text columns come from the planner's statistics, which cost nothing however big the table is; only
small tables are read themselves, so that their values are complete. Both need ANALYZE to have run, as
autovacuum does. Under row-level security the statistics are hidden, since they are of all rows: what is read
of such a table are its first rows, which are those that the role may see.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from deployments.executor.config import IntrospectionConfig
from deployments.executor.overloads import read_overloads
from deployments.executor.pool import PooledConnection
from serve_app.contracts import Column, ColumnStatistics, ForeignKey, SchemaSnapshot, Table

# Partitions are read through their parent. Kinds: table, partitioned table, view, materialised view,
# foreign table.
TABLES = """
SELECT c.oid, c.relname AS name, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS comment,
       c.reltuples::bigint AS row_estimate, row_security_active(c.oid) AS secured
FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))
ORDER BY c.relname
"""

# The base type of a domain decides whether a column holds text or an enum.
COLUMNS = """
SELECT a.attrelid AS oid, a.attnum AS number, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       NOT (a.attnotnull OR t.typnotnull) AS nullable, col_description(a.attrelid, a.attnum) AS comment,
       b.typcategory::text = 'S' AS is_text,
       ARRAY(
           SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder
       ) AS labels
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attrelid, a.attnum
"""

KEYS = """
SELECT k.conrelid AS oid, k.contype::text AS kind, k.conkey AS columns,
       k.confrelid AS referenced_oid, k.confkey AS referenced_columns
FROM pg_constraint k
WHERE k.conrelid = ANY($1::oid[]) AND k.contype IN ('p', 'f') AND k.conparentid = 0
ORDER BY k.conrelid, k.contype DESC, k.conkey, k.conname
"""

# Statistics that include child tables come last and win, since a SELECT reads the children too.
# An array of unknown element type has to go through its text to become an array of texts.
STATISTICS = """
SELECT tablename AS name, attname AS column, n_distinct::float8 AS distinct,
       most_common_vals::text::text[] AS common, histogram_bounds::text::text[] AS bounds
FROM pg_stats WHERE schemaname = $1 AND tablename = ANY($2::text[]) 
ORDER BY inherited
"""

# As STATISTICS, for columns of every type and without values.
FIGURES = """
SELECT tablename AS name, attname AS column, n_distinct::float8 AS distinct, null_frac::float8 AS nulls,
       avg_width AS bytes
FROM pg_stats WHERE schemaname = $1 ORDER BY inherited
"""

# CHECK (column IN (...)): PostgreSQL keeps the list as an array of quoted texts.
CHECKS = """
SELECT c.relname AS name, a.attname AS column, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.contype = 'c' AND array_length(k.conkey, 1) = 1
  AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY c.relname, a.attname, k.conname
"""
LISTED = re.compile(r"CHECK \(\(+[^=()]*\)?(?:::text)? = ANY \(+ARRAY\[(.+)\]")
QUOTED_TEXT = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True)
class Relation:
    """A row of TABLES with the columns that the role may see, by attribute number."""

    oid: int
    name: str
    kind: str
    comment: str | None
    row_estimate: int
    secured: bool
    columns: dict[int, "asyncpg.Record"]


@dataclass(frozen=True)
class Values:
    """Values of a text column, most frequent first."""

    values: tuple[str, ...] = ()
    complete: bool = False


async def read_schema(connection: PooledConnection, config: IntrospectionConfig) -> SchemaSnapshot:
    """Read everything in the caller's transaction. Nothing is locked beyond what a SELECT locks."""
    relations = await _relations(connection, config)
    keys = await connection.fetch(KEYS, [relation.oid for relation in relations])
    values = await _values(connection, relations, config)
    by_oid = {relation.oid: relation for relation in relations}
    tables = tuple(_table(relation, keys, by_oid, values) for relation in relations)
    overloaded = await _overloaded(connection, config)
    return SchemaSnapshot(
        tables=tables,
        overloaded=overloaded,
        fingerprint=fingerprint(tables, overloaded),
        taken_at=datetime.now(UTC),
    )


async def read_statistics(
    connection: PooledConnection, schema: SchemaSnapshot, config: IntrospectionConfig
) -> dict[tuple[str, str], ColumnStatistics]:
    """(table, column) -> figures of every column of the snapshot that the planner or a constraint knows."""
    rows = {table.name: table.row_estimate for table in schema.tables}
    found: dict[tuple[str, str], ColumnStatistics] = {}
    for row in await connection.fetch(FIGURES, config.schema_name):
        if row["name"] in rows:
            distinct = row["distinct"] if row["distinct"] > 0 else -row["distinct"] * rows[row["name"]]
            found[row["name"], row["column"]] = ColumnStatistics(
                distinct=round(distinct), null_fraction=row["nulls"], mean_bytes=row["bytes"]
            )
    for row in await connection.fetch(CHECKS, config.schema_name):
        allowed = listed_values(row["definition"])
        if allowed and row["name"] in rows:
            place = (row["name"], row["column"])
            found[place] = found.get(place, ColumnStatistics()).model_copy(update={"allowed": allowed})
    return found


def listed_values(definition: str) -> tuple[str, ...]:
    """The texts that a CHECK constraint allows, as pg_get_constraintdef prints it; none if it is no list."""
    listed = LISTED.match(definition)
    return tuple(text.replace("''", "'") for text in QUOTED_TEXT.findall(listed[1])) if listed else ()


def fingerprint(tables: tuple[Table, ...], overloaded: tuple[str, ...] = ()) -> str:
    """A hash of all that a prompt can show and a statement may name. Row estimates are left out, since they
    drift on their own.
    """
    plain: list[Any] = [table.model_dump(mode="json", exclude={"row_estimate"}) for table in tables]
    plain += overloaded
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:32]


async def _overloaded(connection: PooledConnection, config: IntrospectionConfig) -> tuple[str, ...]:
    """Names that a statement must not use; those of extensions are left to whoever installed them."""
    found = await read_overloads(connection, config.schema_name)
    return tuple(sorted({o.name for o in found if o.kind != "cast" and not o.of_extension}))


async def _relations(connection: PooledConnection, config: IntrospectionConfig) -> list[Relation]:
    tables = await connection.fetch(TABLES, config.schema_name)
    columns: dict[int, dict[int, asyncpg.Record]] = defaultdict(dict)
    for column in await connection.fetch(COLUMNS, [table["oid"] for table in tables]):
        columns[column["oid"]][column["number"]] = column
    return [
        Relation(
            oid=table["oid"],
            name=table["name"],
            kind=table["kind"],
            comment=table["comment"],
            row_estimate=table["row_estimate"],
            secured=table["secured"],
            columns=columns[table["oid"]],
        )
        for table in tables
    ]


def _table(
    relation: Relation,
    keys: Iterable["asyncpg.Record"],
    by_oid: dict[int, Relation],
    values: dict[tuple[str, str], Values],
) -> Table:
    primary: tuple[str, ...] = ()
    foreign: list[ForeignKey] = []
    for key in keys:
        if key["oid"] != relation.oid:
            continue
        names = _names(relation, key["columns"])
        if key["kind"] == "p":
            primary = names or ()
            continue
        referenced = by_oid.get(key["referenced_oid"])
        referenced_names = _names(referenced, key["referenced_columns"]) if referenced else None
        # A key that the role sees only half of would name what it must not know of.
        if names and referenced and referenced_names:
            foreign.append(
                ForeignKey(
                    columns=names, referenced_table=referenced.name, referenced_columns=referenced_names
                )
            )
    return Table(
        name=relation.name,
        comment=relation.comment,
        columns=tuple(
            _column(column, values.get((relation.name, column["name"]), Values()))
            for column in relation.columns.values()
        ),
        primary_key=primary,
        foreign_keys=tuple(foreign),
        # -1 says that the table was never analysed.
        row_estimate=max(0, relation.row_estimate),
    )


def _names(relation: Relation, numbers: Iterable[int]) -> tuple[str, ...] | None:
    columns = [relation.columns.get(number) for number in numbers]
    return None if None in columns else tuple(column["name"] for column in columns if column is not None)


def _column(column: "asyncpg.Record", values: Values) -> Column:
    return Column(
        name=column["name"],
        type=column["type"],
        nullable=column["nullable"],
        comment=column["comment"],
        enum_values=tuple(column["labels"]),
        sample_values=values.values,
        values_complete=values.complete,
    )


async def _values(
    connection: PooledConnection, relations: list[Relation], config: IntrospectionConfig
) -> dict[tuple[str, str], Values]:
    text_columns = {
        relation.name: {c["name"] for c in relation.columns.values() if c["is_text"]}
        for relation in relations
    }
    rows = {relation.name: relation.row_estimate for relation in relations}
    values = {
        (row["name"], row["column"]): statistics_values(row, rows[row["name"]], config)
        for row in await connection.fetch(STATISTICS, config.schema_name, list(text_columns))
        if row["column"] in text_columns[row["name"]]
    }
    for relation in relations:
        # A view's or a foreign table's size is not known, so they are never read.
        small = relation.kind in ("r", "m") and 0 <= relation.row_estimate <= config.small_table_rows
        if small or (relation.secured and relation.kind in ("r", "p")):
            reading = Reading.of_small(config) if small else Reading.of_secured(config)
            for column in sorted(text_columns[relation.name]):
                values[relation.name, column] = await _stored_values(
                    connection, relation.name, column, config, reading
                )
    return values


def statistics_values(row: Any, table_rows: int, config: IntrospectionConfig) -> Values:
    """Values that ANALYZE kept. They are all if it kept as many as it counted or estimated to be distinct."""
    found = tuple(dict.fromkeys([*(row["common"] or ()), *(row["bounds"] or ())]))
    # A negative number of distinct values is a fraction of the table's rows.
    distinct = row["distinct"] if row["distinct"] > 0 else -row["distinct"] * table_rows
    kept = _kept(found, config, config.statistics_value_cap)
    return Values(kept, complete=0 < round(distinct) <= len(found) == len(kept))


@dataclass(frozen=True)
class Reading:
    """How much of a table is read, and how many values are kept of it."""

    rows: int
    values: int

    @classmethod
    def of_small(cls, config: IntrospectionConfig) -> "Reading":
        return cls(config.small_table_rows, config.small_table_value_cap)

    @classmethod
    def of_secured(cls, config: IntrospectionConfig) -> "Reading":
        return cls(config.secured_table_rows, config.statistics_value_cap)


async def _stored_values(
    connection: PooledConnection, table: str, column: str, config: IntrospectionConfig, reading: Reading
) -> Values:
    """The column's values among the first rows of the table; none if even these take too long."""
    name, source = (
        quote_identifier(column),
        f"{quote_identifier(config.schema_name)}.{quote_identifier(table)}",
    )
    try:
        # A savepoint: what takes too long costs these values, not the schema.
        async with connection.transaction():
            rows = await connection.fetch(
                f"SELECT value, count(*) AS rows FROM (SELECT {name}::text AS value FROM {source} LIMIT $1) "
                "AS read GROUP BY value ORDER BY count(*) DESC, value",
                reading.rows + 1,
            )
    except asyncpg.QueryCanceledError:
        return Values()
    found = [row["value"] for row in rows if row["value"] is not None]
    kept = _kept(found, config, reading.values)
    read_all = sum(row["rows"] for row in rows) <= reading.rows
    return Values(kept, complete=read_all and len(kept) == len(found))


def _kept(found: Iterable[str], config: IntrospectionConfig, cap: int) -> tuple[str, ...]:
    return tuple(value for value in found if 0 < len(value) <= config.value_length_cap)[:cap]


def quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
