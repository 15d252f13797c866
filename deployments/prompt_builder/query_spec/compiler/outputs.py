"""The output of a query: its items in order, their names, their rounding, and how results are sorted."""

from dataclasses import dataclass
from typing import Final

from deployments.prompt_builder.query_spec.check import kind_of
from deployments.prompt_builder.query_spec.compiler.naming import Namer
from deployments.prompt_builder.query_spec.compiler.sql import Sql, identifier, text_literal
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.derived import derived_value
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Arithmetic,
    ColumnRef,
    DateBucket,
    Expr,
    NumberLiteral,
    Placeholder,
    QuerySpec,
    SortKey,
    Today,
    Window,
)
from deployments.prompt_builder.query_spec.shape import display_items, implied_items
from deployments.prompt_builder.query_spec.walk import row_nodes

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FRACTIONS: Final = {"avg", "median", "stddev"}


def shown_items(spec: QuerySpec, context: SpecContext) -> tuple[Expr, ...]:
    """The result's items: those of ``show``, else the display columns, and what is compared or sorted."""
    items = spec.show or display_items(spec.table, context)
    return tuple(dict.fromkeys((*items, *implied_items(spec, context))))


@dataclass(frozen=True, slots=True)
class Output:
    """One computed column of a SELECT: what it is, its SQL and its name."""

    expression: Expr
    sql: Sql
    name: str
    rounded: bool

    def column(self) -> str:
        """The item in the SELECT list."""
        text = self.shown()
        bare = text == identifier(self.name) or text.endswith("." + identifier(self.name))
        return text if bare and "(" not in text and " " not in text else f"{text} AS {identifier(self.name)}"

    def columns(self) -> list[str]:
        """The items in the SELECT list: a weekday stands with its name."""
        return [self.column(), *self.weekday_name(self.sql.text)]

    def references(self) -> list[str]:
        """The items in an outer SELECT around the one that computes them."""
        return [self.reference(), *self.weekday_name(identifier(self.name))]

    def weekday_name(self, number: str) -> list[str]:
        if not isinstance(self.expression, DateBucket) or self.expression.part != "weekday":
            return []
        names = ", ".join(map(text_literal, _WEEKDAYS))
        return [f"(ARRAY[{names}])[{number}] AS {identifier(self.name + '_name')}"]

    def shown(self) -> str:
        return f"ROUND({self.sql.text}, 2)" if self.rounded else self.sql.text

    def reference(self) -> str:
        """The item in an outer SELECT around the one that computes it."""
        name = identifier(self.name)
        return f"ROUND({name}, 2) AS {name}" if self.rounded else name

    def raw_column(self) -> str:
        """The item unrounded, for an outer SELECT to go on with."""
        return Output(self.expression, self.sql, self.name, rounded=False).column()


class Outputs:
    """The items of one SELECT, named."""

    def __init__(self, context: SpecContext, table: str) -> None:
        self.context = context
        self.table = table
        self.namer = Namer(context, table)
        self.items: dict[Expr, Output] = {}

    def add(self, expression: Expr, sql: Sql) -> Output:
        if expression not in self.items:
            rounded = needs_rounding(expression, self.table, self.context)
            self.items[expression] = Output(expression, sql, self.namer.take(expression), rounded)
        return self.items[expression]


def needs_rounding(expression: Expr, table: str, context: SpecContext) -> bool:
    """True for averages, ratios and the like: two decimals are enough for people."""
    if kind_of(expression, (table,), context) != "number":
        return False
    return _is_fraction(expression, context)


def _is_fraction(expression: Expr, context: SpecContext) -> bool:
    match expression:
        case ColumnRef(table, column):
            value = derived_value(table, column, context)
            return value is not None and _is_fraction(value, context)
        case Arithmetic("/"):
            return True
        case Arithmetic(_, left, right):
            return _is_fraction(left, context) or _is_fraction(right, context)
        case Aggregate(name=name, argument=argument):
            return name in _FRACTIONS or (argument is not None and _is_fraction(argument, context))
        case Window(name, argument):
            return name in {"share", "growth"} or (name != "rank" and _is_fraction(argument, context))
    return False


def is_nullable(expression: Expr, table: str, context: SpecContext) -> bool:
    """True unless it is plain that the value is never NULL."""
    match expression:
        case ColumnRef(owner, column) if owner == table and (owner, column) in context.columns:
            return context.columns[owner, column].nullable
        case ColumnRef(owner, column) if owner == table:
            value = derived_value(owner, column, context)
            return value is None or is_nullable(value, table, context)
        case Aggregate(name="count"):
            return False
        case Aggregate(name="sum", argument=argument, conditions=()) if argument is not None:
            return (
                any(
                    is_nullable(part, table, context)
                    for part in row_nodes(argument)
                    if isinstance(part, ColumnRef)
                )
                if _reads_only(argument, table)
                else False
            )
        case Arithmetic("-" | "+" | "*", left, right):
            return is_nullable(left, table, context) or is_nullable(right, table, context)
        case NumberLiteral() | Today() | Placeholder():
            return False
    return True


def _reads_only(expression: Expr, table: str) -> bool:
    return all(part.table == table for part in row_nodes(expression) if isinstance(part, ColumnRef))


def sort_text(key: SortKey, text: str, nullable: bool) -> str:
    if not key.descending:
        return text
    return f"{text} DESC NULLS LAST" if nullable else f"{text} DESC"
