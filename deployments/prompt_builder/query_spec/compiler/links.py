"""What the placeholders of a specification stand for."""

import re
from collections.abc import Sequence
from typing import Final

from deployments.prompt_builder.query_spec.compiler.sql import text_literal
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import ColumnRef, Expr
from serve_app.contracts import DateRange, Link

_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?")


class Placeholders:
    """The links of a question by placeholder."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = {link.placeholder: link for link in links}

    def _link(self, name: str) -> Link:
        if name not in self._links:
            raise CompileError(f"no link fills {name}")
        return self._links[name]

    def number(self, name: str) -> str:
        value = self._link(name).number
        if value is None or not _DECIMAL.fullmatch(value):
            raise CompileError(f"{name} is no number: {value!r}")
        return value

    def dates(self, name: str) -> DateRange:
        dates = self._link(name).dates
        if dates is None or (dates.start_sql is None and dates.end_sql is None):
            raise CompileError(f"{name} holds no dates")
        return dates

    def value(self, name: str, column: Expr) -> str:
        """The stored value of ``column`` as a literal."""
        candidates = self._link(name).candidates
        if not isinstance(column, ColumnRef):
            raise CompileError(f"{name} is compared with something that is no column")
        for candidate in candidates:
            if (candidate.table, candidate.column) == (column.table, column.column):
                return text_literal(candidate.value)
        known = ", ".join(f"{c.table}.{c.column}" for c in candidates) or "no column"
        raise CompileError(f"{name} is a value of {known}, not of {column.table}.{column.column}")

    def text(self, name: str, column: Expr) -> str:
        """What a column is searched for: its one linked value, which mends typing errors, else what was said.

        Several linked values share only what was said of them: "steel" finds every name that holds it.
        """
        link = self._link(name)
        where = (column.table, column.column) if isinstance(column, ColumnRef) else None
        values = [c.value for c in link.candidates if (c.table, c.column) == where]
        return values[0] if len(values) == 1 else link.text
