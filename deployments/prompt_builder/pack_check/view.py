"""What the rules of a check look at and what they say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from deployments.prompt_builder.domain import ColumnTerms, DomainPack
from deployments.prompt_builder.query_spec.context import SpecContext
from serve_app.contracts import Column, SchemaSnapshot

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. ``place`` is a path in the pack: tables.loans.columns.fee.

    An error makes questions fail or training wrong; a warning costs answers; a note is worth knowing.
    """

    severity: Severity
    place: str
    problem: str

    def line(self) -> str:
        return f"{self.severity}: {self.place}: {self.problem}"


@dataclass(frozen=True)
class PackView:
    """A pack with the schema it speaks of: the database's own, or the snapshot in its folder."""

    folder: Path
    pack: DomainPack
    schema: SchemaSnapshot

    @cached_property
    def context(self) -> SpecContext:
        return SpecContext(self.schema, self.pack)

    def stored(self) -> Iterator[tuple[str, str, ColumnTerms, Column]]:
        """(table, column, terms, column of the schema) of every column that pack and schema have."""
        for table, terms in self.pack.tables.items():
            for name, column_terms in terms.columns.items():
                column = self.context.columns.get((table, name))
                if column is not None:
                    yield table, name, column_terms, column


Rule = Callable[[PackView], Iterator[Finding]]


def column_place(table: str, column: str) -> str:
    return f"tables.{table}.columns.{column}"


def listed(names: "tuple[str, ...] | list[str]", most: int = 8) -> str:
    """Names for a message, the first few of many."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
