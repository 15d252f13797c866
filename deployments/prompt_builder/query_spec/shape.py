"""What kind of query a specification is: rows, groups, or a single row of subqueries."""

from dataclasses import replace
from typing import Final

from deployments.prompt_builder.query_spec.check import anchor
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.derived import derived_conditions
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Between,
    ColumnRef,
    Compare,
    Condition,
    Exists,
    Expr,
    InDates,
    NumberLiteral,
    Placeholder,
    Predicate,
    QuerySpec,
    Subquery,
    TextLiteral,
    Today,
    Window,
)
from deployments.prompt_builder.query_spec.walk import children, own_nodes, row_nodes, walk

CONSTANTS: Final = (NumberLiteral, TextLiteral, Placeholder, Today)


def is_base_aggregate(node: object, base: str, context: SpecContext) -> bool:
    """True for an aggregate over the rows of the query itself, not over a descendant table of each row."""
    if not isinstance(node, Aggregate) or isinstance(node.argument, Subquery):
        return False
    return anchor(node, base, context) == base


def base_aggregates(node: Expr | Condition, base: str, context: SpecContext) -> list[Aggregate]:
    """The outermost aggregates over the base's rows inside a node."""
    if isinstance(node, Subquery | Exists):
        return []
    if isinstance(node, Aggregate):
        return [node] if is_base_aggregate(node, base, context) else []
    return [found for child in children(node) for found in base_aggregates(child, base, context)]


def is_grouped(spec: QuerySpec, context: SpecContext) -> bool:
    """True if the result has one row per group (or one row in all) rather than one per row of the table."""
    shown = (*spec.show, *(key.expression for key in spec.sort))
    if any(_groups(item, spec.table, context) for item in shown):
        return True
    return any(_groups(c, spec.table, context) and not reads_rows(c, spec.table, context) for c in spec.where)


def _groups(node: Expr | Condition, base: str, context: SpecContext) -> bool:
    """True if the node holds an aggregate of the query's own groups, not one with `per` or `all`."""
    return any(a.scope == "group" and not a.per for a in base_aggregates(node, base, context))


def reads_rows(node: Expr | Condition, base: str, context: SpecContext) -> bool:
    """True if the node has a value of a single row outside of its base aggregates."""
    for part in row_nodes(node):
        if isinstance(part, ColumnRef | Predicate | Exists):
            return True
        if isinstance(part, Aggregate) and not is_base_aggregate(part, base, context):
            return not isinstance(part.argument, Subquery)
    return False


def display_items(table: str, context: SpecContext) -> tuple[Expr, ...]:
    """What a result shows if nothing is asked for: the pack's display columns, else every column."""
    terms = context.domain.tables.get(table)
    if terms is None:
        return tuple(ColumnRef(table, column.name) for column in context.tables[table].columns)
    found = []
    for name in terms.display:
        owner, _, column = name.rpartition(".")
        if context.is_value(owner or table, column) and context.reaches(table, owner or table):
            found.append(ColumnRef(owner or table, column))
    return tuple(found)


def identified(spec: QuerySpec, context: SpecContext) -> QuerySpec:
    """The specification with what tells its rows apart shown after what was asked for.

    "Shifts over ten hours, just the hours" would otherwise be a column of numbers: whose shift, on which day,
    on which job? Groups are told apart by their keys, and distinct values by themselves.
    """
    if not spec.show or spec.distinct or is_grouped(spec, context):
        return spec
    known = {c.left for c in spec.where if isinstance(c, Compare) and c.operator == "="}
    told = (item for item in _identifying_items(spec.table, context) if item not in known)
    return replace(spec, show=tuple(dict.fromkeys((*spec.show, *told))))


def _identifying_items(table: str, context: SpecContext) -> tuple[Expr, ...]:
    """A row's label; without one its date, main measure, names and the names of what it belongs to."""
    label = context.label(table)
    if label is not None:
        return (ColumnRef(table, label),)
    terms = context.domain.tables.get(table)
    if terms is None:
        return ()
    names = {name for name, column in terms.columns.items() if column.role == "name"}
    own = names | {terms.date, terms.measure}
    shown = display_items(table, context)
    return tuple(i for i in shown if isinstance(i, ColumnRef) and (i.table != table or i.column in own))


def implied_items(spec: QuerySpec, context: SpecContext) -> tuple[Expr, ...]:
    """What the result shows beyond ``show``: values that conditions compare, and what the order goes by."""
    if spec.distinct:
        return ()
    grouped = is_grouped(spec, context)
    compared = [
        operand
        for condition in spec.where
        for operand in _compared(condition, spec.table, context)
        if _is_on_groups(operand, spec.table, context) == grouped
        and not _is_elsewhere(operand, spec, context)
    ]
    sorted_by = (key.expression for key in spec.sort if not isinstance(key.expression, CONSTANTS))
    return tuple(dict.fromkeys((*compared, *sorted_by)))


def _compared(condition: Condition, base: str, context: SpecContext) -> tuple[Expr, ...]:
    """The operands that a condition measures: not those that it holds fast by an equality."""
    match condition:
        case Compare("<" | "<=" | ">" | ">=", left, right):
            return tuple(side for side in (left, right) if not isinstance(side, CONSTANTS))
        case Between(argument) | InDates(argument):
            return (argument,)
        case Predicate(table, name) if table == base:
            parts = derived_conditions(table, name, context)
            return tuple(operand for part in parts for operand in _compared(part, base, context))
    return ()


def _is_on_groups(operand: Expr, base: str, context: SpecContext) -> bool:
    return bool(base_aggregates(operand, base, context))


def _is_elsewhere(operand: Expr, spec: QuerySpec, context: SpecContext) -> bool:
    """True for a value of more than the row or group at hand, which would only repeat itself."""
    beyond = any(a.per or a.by or a.scope != "group" for a in base_aggregates(operand, spec.table, context))
    return beyond or any(isinstance(part, Subquery) for part in walk(operand))


def windows(node: Expr | Condition) -> list[Window]:
    return [part for part in own_nodes(node) if isinstance(part, Window)]
