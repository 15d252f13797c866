"""The database as the assistant may see it."""

from datetime import datetime

from pydantic import Field

from serve_app.contracts.message import Message


class ForeignKey(Message):
    """Columns that name a row of another table."""

    columns: tuple[str, ...]
    referenced_table: str
    referenced_columns: tuple[str, ...]


class Column(Message):
    """A column as the assistant may see it, with what is known of its values."""

    name: str
    type: str = Field(description="PostgreSQL type as format_type prints it, e.g. numeric(14,2)")
    nullable: bool
    comment: str | None = None
    enum_values: tuple[str, ...] = Field(default=(), description="Labels of an enum type, in order")
    sample_values: tuple[str, ...] = Field(
        default=(),
        description="Known values of a text column, most frequent first; complete only if values_complete",
    )
    values_complete: bool = False


class Table(Message):
    """A table as the assistant may see it."""

    name: str
    comment: str | None = None
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    row_estimate: int = 0

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)


class ColumnStatistics(Message):
    """What the database knows of a column's values beyond the schema; None where it was never analysed."""

    distinct: int | None = Field(default=None, description="Different values, estimated by the planner")
    null_fraction: float | None = None
    mean_bytes: int | None = Field(default=None, description="Average stored width of a value")
    allowed: tuple[str, ...] = Field(
        default=(), description="The list of a CHECK constraint on this column alone"
    )


class SchemaSnapshot(Message):
    """What the assistant's login role may see, read from the catalogs."""

    tables: tuple[Table, ...]
    overloaded: tuple[str, ...] = Field(
        default=(),
        description="Names of PostgreSQL's functions and operators that the database gives its own as well",
    )
    fingerprint: str = Field(description="Stable hash of everything above; stages cache by it")
    taken_at: datetime

    def table(self, name: str) -> Table | None:
        return next((t for t in self.tables if t.name == name), None)
