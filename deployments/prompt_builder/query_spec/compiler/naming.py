"""Names of output columns that a reader understands without the SQL."""

import re
from typing import Final

from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Arithmetic,
    Bucket,
    ColumnRef,
    Compare,
    Condition,
    DateBucket,
    Expr,
    Flag,
    Function,
    NumberLiteral,
    Predicate,
    Subquery,
    TextLiteral,
    Window,
)

_PREFIX: Final = {
    "sum": "total",
    "avg": "average",
    "min": "lowest",
    "max": "highest",
    "median": "median",
    "stddev": "stddev",
}
_DATE_PREFIX: Final = {"min": "first", "max": "latest"}
_WINDOW: Final = {
    "running": "running_{}",
    "change": "{}_change",
    "growth": "{}_growth_percent",
    "previous": "previous_{}",
    "share": "{}_share_percent",
    "rank": "rank",
}
_MAX_CHARACTERS: Final = 50  # PostgreSQL cuts names at 63 bytes


class Namer:
    """Gives each output column of one SELECT a name of its own."""

    def __init__(self, context: SpecContext, table: str) -> None:
        self.context = context
        self.table = table
        self.taken: set[str] = set()

    def take(self, expression: Expr) -> str:
        return self.unique(_clean(self.name(expression)))

    def unique(self, name: str) -> str:
        number = 1
        found = name
        while found in self.taken:
            number += 1
            found = f"{name}_{number}"
        self.taken.add(found)
        return found

    def name(self, expression: Expr) -> str:
        match expression:
            case ColumnRef(table, column):
                return column if table == self.table else self.of_table(table, column)
            case Aggregate():
                return self.aggregate(expression)
            case Window(name, argument):
                return _WINDOW[name].format(self.name(argument))
            case DateBucket(part):
                return part
            case Bucket(argument):
                return f"{self.name(argument)}_range"
            case Function(_, arguments):
                return self.name(arguments[0])
            case Flag(condition):
                return self.condition(condition) or "flag"
            case Arithmetic():
                return self.arithmetic(expression)
            case Subquery(spec):
                return self.name(spec.show[0]) if spec.show else "value"
        return "value"

    def of_table(self, table: str, column: str) -> str:
        singular = self.singular(table)
        return column if column.startswith(singular) else f"{singular}_{column}"

    def singular(self, table: str) -> str:
        terms = self.context.domain.tables.get(table)
        noun = terms.terms[0] if terms else table
        return noun if table.startswith(noun[:3]) else table

    def aggregate(self, node: Aggregate) -> str:
        where = next((text for c in node.conditions if (text := self.condition(c))), "")
        suffix = f"_{where}" if where else ""
        if isinstance(node.argument, Subquery):
            return "count"
        if node.name == "count":
            if node.argument is None:
                return f"{self.singular(node.table or self.table)}_count{suffix}"
            return f"{self.name(node.argument)}_count{suffix}"
        argument = "value" if node.argument is None else self.name(node.argument)
        is_date = isinstance(node.argument, ColumnRef) and self.is_date(node.argument)
        prefix = _DATE_PREFIX.get(node.name) if is_date else None
        return f"{prefix or _PREFIX[node.name]}_{argument.removeprefix('total_')}{suffix}"

    def is_date(self, column: ColumnRef) -> bool:
        return self.context.column_kind(column.table, column.column) in {"date", "timestamp"}

    def condition(self, condition: Condition) -> str:
        """A word for what a condition picks: the value of a lookup column, or the predicate's name."""
        match condition:
            case Compare("=", ColumnRef(), TextLiteral(value)):
                return value
            case Predicate(_, name):
                return name
        return ""

    def arithmetic(self, node: Arithmetic) -> str:
        if node.operator == "/":
            whole = node.left
            percent = isinstance(whole, Arithmetic) and NumberLiteral("100") in (whole.left, whole.right)
            return "percent" if percent else "ratio"
        return {"-": "difference", "+": "total", "*": "value"}[node.operator]


def _clean(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")[:_MAX_CHARACTERS] or "value"
