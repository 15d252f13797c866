"""The live schema as text a language model reads: compact DDL with comments, enum labels and known values."""

import re

from serve_app.contracts import Column, ForeignKey, Table

# Longer lists of known values cost more tokens than they help; lookups are shorter than this.
MOST_VALUES = 30
MOST_EXAMPLES = 5
LONGEST_VALUE_CHARS = 60
LONGEST_COMMENT_CHARS = 300

_PLAIN_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")
# Words PostgreSQL reserves and that schemas use all the same.
_RESERVED_WORDS = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
create current_date current_time current_user default deferrable desc distinct do else end except false
fetch for foreign from grant group having in initially intersect into lateral leading limit localtime
not null offset on only or order placing primary references returning select session_user some symmetric
table then to trailing true union unique user using variadic when where window with
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


def identifier(name: str) -> str:
    """A name as it must stand in SQL: in one line, quoted if PostgreSQL would fold or misread it."""
    if not name.isprintable():
        return 'U&"' + _escaped(name.replace("\\", "\\\\"), "\\{:04X}", "\\+{:06X}").replace('"', '""') + '"'
    if _PLAIN_IDENTIFIER.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A value as it must stand in SQL, in one line."""
    if not value.isprintable():
        escaped = _escaped(value.replace("\\", "\\\\"), "\\u{:04X}", "\\U{:08X}")
        return "E'" + escaped.replace("'", "''") + "'"
    return "'" + value.replace("'", "''") + "'"


def table_text(table: Table, samples: bool = True, comments: bool = True) -> str:
    """One table with every column, type and key.

    Args:
        table: the table.
        samples: whether known values of text columns are listed; enum labels, part of the type, always are.
        comments: whether the database's comments are printed.
    """
    single_keys = {key.columns[0]: key for key in table.foreign_keys if len(key.columns) == 1}
    lines = [
        _column_text(
            column, table.primary_key == (column.name,), single_keys.get(column.name), samples, comments
        )
        for column in table.columns
    ]
    if len(table.primary_key) > 1:
        lines.append(f"  PRIMARY KEY ({_names(table.primary_key)})")
    lines += [
        f"  FOREIGN KEY ({_names(key.columns)}) {_references(key)}"
        for key in table.foreign_keys
        if len(key.columns) > 1 or single_keys[key.columns[0]] is not key
    ]
    comment = f" -- {remark(table.comment)}" if comments and table.comment else ""
    return "\n".join([f"TABLE {identifier(table.name)} ({comment}", *lines, ")"])


def names_text(names: tuple[str, ...], shown: int) -> str:
    """Tables that are only named; ``shown`` of them, the rest counted."""
    listed = ", ".join(identifier(name) for name in names[:shown])
    hidden = len(names) - min(shown, len(names))
    rest = f" and {hidden} more" if hidden else ""
    return f"Further tables, columns not listed here: {listed}{rest}"


def known_values(column: Column) -> str:
    """Enum labels or sampled values as SQL literals; empty if there are none fit to print."""
    if column.enum_values:
        return " | ".join(literal(value) for value in column.enum_values)
    values = [v for v in column.sample_values if len(v) <= LONGEST_VALUE_CHARS and v.isprintable()]
    if not values:
        return ""
    if column.values_complete and len(values) == len(column.sample_values) <= MOST_VALUES:
        return " | ".join(literal(value) for value in values)
    return "e.g. " + ", ".join(literal(value) for value in values[:MOST_EXAMPLES])


def one_line(text: str) -> str:
    return " ".join(text.split())


def remark(comment: str) -> str:
    """A comment of the database as quoted data: it can close neither its quotation nor its line."""
    text = one_line(comment).replace('"', "'")
    cut = text[: LONGEST_COMMENT_CHARS - 1] + "…" if len(text) > LONGEST_COMMENT_CHARS else text
    return f'"{cut}"'


def _escaped(text: str, short: str, long: str) -> str:
    """The text with every character that is not printable in PostgreSQL's notation of code points."""
    return "".join(
        c if c.isprintable() else (short if ord(c) < 0x10000 else long).format(ord(c)) for c in text
    )


def _column_text(
    column: Column, is_primary: bool, reference: ForeignKey | None, samples: bool, comments: bool
) -> str:
    parts = [f"  {identifier(column.name)} {one_line(column.type)}"]
    if is_primary:
        parts.append("PRIMARY KEY")
    if reference is not None:
        parts.append(_references(reference))
    remarks = ["may be NULL"] if column.nullable else []
    if column.enum_values or samples:
        remarks += [known_values(column)] if known_values(column) else []
    if comments and column.comment:
        remarks.append(remark(column.comment))
    return " ".join(parts) + (f" -- {'; '.join(remarks)}" if remarks else "")


def _references(key: ForeignKey) -> str:
    return f"REFERENCES {identifier(key.referenced_table)} ({_names(key.referenced_columns)})"


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(identifier(column) for column in columns)
