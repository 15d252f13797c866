"""What a query specification may speak of: the live schema, the domain pack and the paths between tables."""

import re
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from deployments.prompt_builder.domain import Derived, DomainPack
from serve_app.contracts import Column, ForeignKey, SchemaSnapshot, Table

Kind = Literal["number", "text", "date", "timestamp", "boolean", "other"]

_NUMBER = re.compile(r"^(smallint|integer|bigint|numeric|real|double precision|money)\b")


@dataclass(frozen=True, slots=True)
class Step:
    """One many-to-one join: ``table`` holds the foreign key ``key``."""

    table: str
    key: ForeignKey


@dataclass(frozen=True)
class SpecContext:
    """Schema, domain pack, and what follows from both. Cheap to make; caches what it computes."""

    schema: SchemaSnapshot
    domain: DomainPack

    @cached_property
    def tables(self) -> dict[str, Table]:
        return {table.name: table for table in self.schema.tables}

    @cached_property
    def columns(self) -> dict[tuple[str, str], Column]:
        return {(t.name, c.name): c for t in self.schema.tables for c in t.columns}

    @cached_property
    def derived(self) -> dict[tuple[str, str], Derived]:
        """Named values and predicates of the domain pack whose table exists in the live schema."""
        return {(d.table, d.name): d for d in self.domain.derived if d.table in self.tables}

    @cached_property
    def parsed_derived(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        """Cache of `derived.py`: the nodes of each derived value or predicate read so far."""
        return {}

    @cached_property
    def canonical_names(self) -> dict[str, Any]:
        """Cache of `canonical.py`: what the derived names spell out."""
        return {}

    @cached_property
    def words(self) -> dict[str, tuple[str, ...]]:
        """Cache of `token_words.py`: the schema's words of the model's vocabulary."""
        return {}

    def is_value(self, table: str, name: str) -> bool:
        """True for a stored column or a derived value."""
        return (table, name) in self.columns or self._derived_kind(table, name) == "value"

    def is_predicate(self, table: str, name: str) -> bool:
        return self._derived_kind(table, name) == "predicate"

    def _derived_kind(self, table: str, name: str) -> str | None:
        found = self.derived.get((table, name))
        return found.kind if found else None

    def names_of(self, table: str) -> tuple[str, ...]:
        """Columns, derived values and predicates of a table, for error messages."""
        return tuple(c for t, c in (*self.columns, *self.derived) if t == table)

    def lookup_values(self, table: str, column: str) -> tuple[str, ...]:
        """A column's closed list of words: enum labels, else what the domain pack and the samples know."""
        found = self.columns.get((table, column))
        if found is None:
            return ()
        if found.enum_values:
            return found.enum_values
        terms = self.domain.tables[table].columns.get(column) if table in self.domain.tables else None
        if terms is None or terms.role != "lookup":
            return ()
        return tuple(sorted({*terms.values, *(found.sample_values if found.values_complete else ())}))

    def label(self, table: str) -> str | None:
        """The column that names a row of the table, if it exists."""
        terms = self.domain.tables.get(table)
        return terms.label if terms and terms.label and (table, terms.label) in self.columns else None

    def date_column(self, table: str) -> str | None:
        terms = self.domain.tables.get(table)
        return terms.date if terms and terms.date and (table, terms.date) in self.columns else None

    @cached_property
    def _paths(self) -> dict[tuple[str, str], tuple[Step, ...]]:
        """Shortest many-to-one path between all pairs of tables; ties go to the earlier foreign key."""
        paths: dict[tuple[str, str], tuple[Step, ...]] = {}
        for start in self.tables:
            paths[start, start] = ()
            queue = deque([start])
            while queue:
                here = queue.popleft()
                for key in self.tables[here].foreign_keys:
                    there = key.referenced_table
                    if there in self.tables and (start, there) not in paths:
                        paths[start, there] = (*paths[start, here], Step(here, key))
                        queue.append(there)
        return paths

    def path(self, table: str, ancestor: str) -> tuple[Step, ...] | None:
        """Joins from ``table`` up to ``ancestor``; empty if they are the same, None if there is no way."""
        return self._paths.get((table, ancestor))

    def is_nullable(self, table: str, ancestor: str) -> bool:
        """True if a row of ``table`` may have no such ancestor."""
        steps = self.path(table, ancestor) or ()
        return any(self.columns[step.table, name].nullable for step in steps for name in step.key.columns)

    def reaches(self, table: str, ancestor: str) -> bool:
        return (table, ancestor) in self._paths

    def is_descendant(self, table: str, base: str) -> bool:
        return table != base and self.reaches(table, base)

    def column_kind(self, table: str, column: str) -> Kind:
        """The kind of a stored column; ``other`` if there is none of that name."""
        found = self.columns.get((table, column))
        if found is None:
            return "other"
        return kind_of_type(found.type) if not found.enum_values else "text"


def kind_of_type(name: str) -> Kind:
    """The kind of a PostgreSQL type as format_type prints it."""
    if _NUMBER.match(name):
        return "number"
    if name == "date":
        return "date"
    if name.startswith("timestamp"):
        return "timestamp"
    if name == "boolean":
        return "boolean"
    if name in {"text", "uuid"} or name.startswith(("character", "varchar", "citext", "bpchar")):
        return "text"
    return "other"
