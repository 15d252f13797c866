"""Specification to its canonical text. `parse(to_text(spec))` gives the same specification back."""

from collections.abc import Sequence

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AllOf,
    AnyOf,
    Arithmetic,
    Between,
    Bucket,
    Cannot,
    ColumnRef,
    Compare,
    Condition,
    DateBucket,
    Exists,
    Expr,
    Flag,
    Function,
    InDates,
    InList,
    IsNull,
    Negation,
    NumberLiteral,
    Placeholder,
    Predicate,
    QuerySpec,
    SortKey,
    Subquery,
    TextLiteral,
    TextMatch,
    Today,
    Window,
)
from deployments.prompt_builder.query_spec.walk import own_nodes
from deployments.prompt_builder.query_spec.words import quote_name, quote_text


def to_text(spec: QuerySpec | Cannot) -> str:
    """The one text of a specification; columns of its table stand unqualified where that is clear."""
    if isinstance(spec, Cannot):
        return "cannot"
    printer = _Printer((spec.table,))
    parts = [quote_name(spec.table)]
    if spec.show:
        parts.append(f"show {'distinct ' if spec.distinct else ''}{printer.list(spec.show)}")
    if spec.where:
        parts.append(f"where {printer.conditions(spec.where)}")
    if spec.sort:
        parts.append(f"sort {', '.join(map(printer.sort_key, spec.sort))}")
    if spec.limit is not None:
        per = f" per {printer.list(spec.limit_per)}" if spec.limit_per else ""
        parts.append(f"limit {printer.expression(spec.limit)}{per}")
    if spec.offset is not None:
        parts.append(f"offset {printer.expression(spec.offset)}")
    return " ".join(parts)


def expression_text(expression: Expr) -> str:
    """Text of one expression with every name qualified."""
    return _Printer(()).expression(expression)


def condition_text(condition: Condition) -> str:
    """Text of one condition with every name qualified."""
    return _Printer(()).condition(condition)


class _Printer:
    """Prints within scopes; inside aggregates over another table every name is qualified."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        self.scopes = scopes

    def list(self, expressions: Sequence[Expr]) -> str:
        return ", ".join(map(self.expression, expressions))

    def conditions(self, conditions: Sequence[Condition]) -> str:
        return " and ".join(map(self.condition, conditions))

    def sort_key(self, key: SortKey) -> str:
        return self.expression(key.expression) + (" desc" if key.descending else "")

    def name(self, table: str, name: str) -> str:
        if (table,) == self.scopes:
            return quote_name(name)
        return f"{quote_name(table)}.{quote_name(name)}"

    def inside(self, table: str | None) -> "_Printer":
        """The printer for what stands inside an aggregate or EXISTS over a table."""
        return self if table is None else _Printer((*self.scopes, table))

    def expression(self, expression: Expr) -> str:
        match expression:
            case ColumnRef(table, column):
                return self.name(table, column)
            case NumberLiteral(text):
                return text
            case TextLiteral(value):
                return quote_text(value)
            case Placeholder(name):
                return name
            case Today():
                return "today"
            case Arithmetic(operator, left, right):
                return f"({self.expression(left)} {operator} {self.expression(right)})"
            case Aggregate():
                return self.aggregate(expression)
            case Window(name, argument, per):
                return f"{name}({self.expression(argument)}{f' per {self.list(per)}' if per else ''})"
            case DateBucket(part, argument):
                return f"{part}({self.expression(argument)})"
            case Bucket(argument, bounds):
                return f"bucket({self.expression(argument)}, {self.list(bounds)})"
            case Function(name, arguments):
                return f"{name}({self.list(arguments)})"
            case Flag(condition):
                inner = condition.conditions if isinstance(condition, AllOf) else (condition,)
                return f"flag({self.conditions(inner)})"
            case Subquery(spec):
                return f"[{to_text(spec)}]"

    def aggregate(self, node: Aggregate) -> str:
        parts = ["distinct"] if node.distinct else []
        inside = self.inside(node.table)
        if node.table is not None:
            parts.append(quote_name(node.table))
        elif node.argument is not None:
            inside = self.inside(_foreign_table(node.argument, self.scopes))
            parts.append(inside.expression(node.argument))
        if node.conditions:
            parts.append(f"if {inside.conditions(node.conditions)}")
        if node.by:
            parts.append(f"by {inside.list(node.by)}")
        if node.per:
            parts.append(f"per {inside.list(node.per)}")
        if node.scope != "group":
            parts.append(node.scope)
        return f"{node.name}({' '.join(parts)})"

    def condition(self, condition: Condition) -> str:
        match condition:
            case Compare(operator, left, right):
                return f"{self.expression(left)} {operator} {self.expression(right)}"
            case InList(argument, values, negated):
                word = "not in" if negated else "in"
                listed = self.list(values) if isinstance(values[0], Subquery) else f"({self.list(values)})"
                return f"{self.expression(argument)} {word} {listed}"
            case InDates(argument, dates, relation, negated):
                return f"{self.expression(argument)} {'not ' if negated else ''}{relation} {dates.name}"
            case Between(argument, low, high):
                return (
                    f"{self.expression(argument)} between {self.expression(low)} and {self.expression(high)}"
                )
            case IsNull(argument, negated):
                return f"{self.expression(argument)} is {'not ' if negated else ''}null"
            case TextMatch(kind, argument, value):
                return f"{self.expression(argument)} {kind} {self.expression(value)}"
            case Exists(table, conditions, negated):
                inner = f" if {self.inside(table).conditions(conditions)}" if conditions else ""
                return f"{'no' if negated else 'any'}({quote_name(table)}{inner})"
            case Predicate(table, name):
                return self.name(table, name)
            case AnyOf(conditions):
                return f"({' or '.join(map(self.condition, conditions))})"
            case AllOf(conditions):
                return f"({' and '.join(map(self.condition, conditions))})"
            case Negation(inner):
                text = self.condition(inner)
                return f"not {text}" if isinstance(inner, AnyOf | AllOf) else f"not ({text})"


def _foreign_table(argument: Expr, scopes: tuple[str, ...]) -> str | None:
    """A table other than the query's own that an aggregate's argument names."""
    for node in own_nodes(argument):
        if isinstance(node, ColumnRef) and node.table not in scopes:
            return node.table
    return None
