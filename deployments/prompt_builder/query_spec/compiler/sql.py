"""Pieces of PostgreSQL text: names, literals, operator precedence, SELECT statements with readable layout."""

import re
from dataclasses import dataclass, field
from typing import Final

# Words that PostgreSQL 18 does not accept as a bare column or table name: in its appendix C, the reserved
# ones and those that "can be function or type".
_RESERVED: Final = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
_ONE_LINE: Final = 96  # a nested SELECT up to this length stays on one line


def identifier(name: str) -> str:
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """A string constant; a backslash needs no care under standard_conforming_strings."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Sql:
    """A scalar expression. ``level``: 0 atom or call, 1 cast, 2 product, 3 sum, 4 comparison and weaker."""

    text: str
    level: int = 0

    def within(self, level: int) -> str:
        """The text, in parentheses if it binds more weakly than ``level``."""
        return self.text if self.level <= level else f"({self.text})"


def indent(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


def nested(select: str) -> str:
    """A SELECT in parentheses, on one line if it is short."""
    flat = " ".join(line.strip() for line in select.split("\n"))
    if len(flat) <= _ONE_LINE:
        return f"({flat})"
    return f"(\n{indent(select)}\n)"


@dataclass
class Select:
    """A SELECT under construction; every part is SQL text."""

    columns: list[str] = field(default_factory=list)
    distinct: bool = False
    source: str | None = None
    joins: list[str] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    having: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    limit: str | None = None
    offset: str | None = None

    def text(self) -> str:
        lines = [f"SELECT {'DISTINCT ' if self.distinct else ''}{', '.join(self.columns)}"]
        if self.source:
            lines.append(f"FROM {self.source}")
        lines.extend(self.joins)
        lines.extend(self._clause("WHERE", " AND ", self.where))
        lines.extend(self._clause("GROUP BY", ", ", self.group))
        lines.extend(self._clause("HAVING", " AND ", self.having))
        lines.extend(self._clause("ORDER BY", ", ", self.order))
        if self.limit is not None:
            lines.append(f"LIMIT {self.limit}")
        if self.offset is not None:
            lines.append(f"OFFSET {self.offset}")
        return "\n".join(lines)

    def _clause(self, word: str, joint: str, parts: list[str]) -> list[str]:
        return [f"{word} {joint.join(parts)}"] if parts else []
