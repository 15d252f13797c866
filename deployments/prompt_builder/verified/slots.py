"""Places of a verified statement that a question's names, numbers and dates fill."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from sqlglot import exp

from deployments.prompt_builder.verified.columns import StoredColumn
from deployments.prompt_builder.verified.date_values import is_absolute, read_bound, signature
from serve_app.contracts import Link

Role = Literal["value", "said", "number", "row_count", "start", "end", "last"]

_DECIMAL: Final = re.compile(r"-?\d{1,18}(\.\d{1,12})?")
_ROW_COUNT: Final = re.compile(r"\d{1,6}")
# Inside a LIKE pattern these are no plain text.
_PATTERN_CHARACTERS: Final = frozenset("%_\\")


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a template: the link that fills it and how.

    ``value`` is the link's stored value of ``column``, ``said`` its words in the question; both stand
    between ``before`` and ``after``, the wildcards of a pattern. ``last`` is the last day of a range.
    """

    placeholder: str
    role: Role
    column: StoredColumn | None = None
    before: str = ""
    after: str = ""
    is_pattern: bool = False

    def filled(self, link: Link) -> exp.Expr | None:
        """The constant that stands for the link here; None if the link does not clearly give one."""
        match self.role:
            case "value" | "said":
                return self._text(link)
            case "number" | "row_count":
                pattern = _DECIMAL if self.role == "number" else _ROW_COUNT
                known = link.number is not None and pattern.fullmatch(link.number)
                return exp.Literal.number(link.number) if known else None
            case "start":
                return read_bound(link.dates.start_sql) if link.dates else None
            case "end":
                return read_bound(link.dates.end_sql) if link.dates else None
            case "last":
                return _day_before(link.dates.end_sql) if link.dates else None

    def _text(self, link: Link) -> exp.Expr | None:
        text = stored_value(link, self.column) if self.role == "value" else link.text.strip()
        if not text or (self.is_pattern and _PATTERN_CHARACTERS & set(text)):
            return None
        return exp.Literal.string(f"{self.before}{text}{self.after}")


def stored_value(link: Link, column: StoredColumn | None) -> str | None:
    """The one value of a column that a link may mean; None if there are several or none."""
    values = {c.value for c in link.candidates if (c.table, c.column) == column}
    return next(iter(values)) if len(values) == 1 else None


def _day_before(end_sql: str | None) -> exp.Expr | None:
    """The last day of a half-open range."""
    end = read_bound(end_sql)
    days = signature(end) if end is not None else None
    if days is None:
        return None
    if is_absolute(days):
        return exp.cast(exp.Literal.string((days[0] - timedelta(days=1)).isoformat()), exp.DType.DATE)
    return read_bound(f"{end_sql} - INTERVAL '1 day'")
