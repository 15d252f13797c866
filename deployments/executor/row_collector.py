"""The rows of one statement as they come from its cursor, up to the limits of what may be shown."""

from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from deployments.executor.formatting import json_size_bytes, json_value
from serve_app.contracts import ColumnInfo

LARGEST_BATCH_ROWS = 500


@dataclass
class RowCollector:
    """Formats rows up to the display limit and the byte limit; ``fetched`` counts all that were seen.

    ``complete`` says that no further row is wanted: what fails from then on costs no row.
    """

    max_rows: int
    max_bytes: int
    # The rows as the driver gave them, for whoever compares them.
    raw: list[asyncpg.Record] | None = None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    bytes: int = 0
    columns: tuple[ColumnInfo, ...] = ()
    fetched: int = 0
    complete: bool = False
    truncated_by: Literal["rows", "bytes"] | None = None

    def add(self, records: list[asyncpg.Record]) -> None:
        for record in records:
            self.fetched += 1
            if self.truncated_by is not None:
                continue
            if len(self.rows) >= self.max_rows:
                self.truncated_by = "rows"
                continue
            row = tuple(json_value(value) for value in record)
            size = json_size_bytes(row)
            if self.bytes + size > self.max_bytes:
                self.truncated_by = "bytes"
                continue
            self.rows.append(row)
            self.bytes += size
            if self.raw is not None:
                self.raw.append(record)

    def next_batch(self) -> int:
        """Rows to ask for: few at first, then as many as fit the bytes left, judged by those seen."""
        wanted = self.max_rows + 1 - self.fetched
        if not self.rows:
            return 1
        fitting = (self.max_bytes - self.bytes) * len(self.rows) // max(self.bytes, 1) + 1
        return max(1, min(wanted, fitting, 4 * self.fetched, LARGEST_BATCH_ROWS))
