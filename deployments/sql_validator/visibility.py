"""What a caller may know of: the schema without what the caller's policy keeps away."""

import hashlib
import re

from deployments.sql_validator.policy import Rights, TableRights
from serve_app.contracts import ForeignKey, SchemaSnapshot, Table


def visible_schema(snapshot: SchemaSnapshot, rights: Rights) -> SchemaSnapshot:
    """The snapshot with the tables and columns that ``rights`` allow, and with a fingerprint of its own.

    Keys go where one of their columns goes, and comments where they name what is gone. What is wholly allowed
    comes back unchanged.
    """
    tables = tuple(
        _visible_table(table, rights.tables[table.name], rights)
        for table in snapshot.tables
        if table.name in rights.tables
    )
    if tables == snapshot.tables:
        return snapshot
    hidden = _names(snapshot.tables) - _names(tables)
    tables = tuple(_without_mentions(table, hidden) for table in tables)
    names = "".join(f"\n{t.name}\t{c.name}" for t in tables for c in t.columns)
    fingerprint = hashlib.sha256(f"{snapshot.fingerprint}{names}".encode()).hexdigest()[:32]
    return snapshot.model_copy(update={"tables": tables, "fingerprint": fingerprint})


def _visible_table(table: Table, own: TableRights, rights: Rights) -> Table:
    allowed = set(own.allowed)
    return table.model_copy(
        update={
            "columns": tuple(c for c in table.columns if c.name in allowed),
            "primary_key": table.primary_key if allowed >= set(table.primary_key) else (),
            "foreign_keys": tuple(k for k in table.foreign_keys if _is_visible(k, allowed, rights)),
        }
    )


def _is_visible(key: ForeignKey, allowed: set[str], rights: Rights) -> bool:
    referenced = rights.tables.get(key.referenced_table)
    return (
        referenced is not None
        and allowed >= set(key.columns)
        and set(referenced.allowed) >= set(key.referenced_columns)
    )


def _names(tables: tuple[Table, ...]) -> frozenset[str]:
    return frozenset(name for t in tables for name in (t.name, *(c.name for c in t.columns)))


def _without_mentions(table: Table, hidden: frozenset[str]) -> Table:
    """The table without comments that name what is hidden."""
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(hidden)))})(?!\w)", re.IGNORECASE)

    def told(comment: str | None) -> str | None:
        return None if comment is None or (hidden and pattern.search(comment)) else comment

    columns = tuple(c.model_copy(update={"comment": told(c.comment)}) for c in table.columns)
    return table.model_copy(update={"comment": told(table.comment), "columns": columns})
