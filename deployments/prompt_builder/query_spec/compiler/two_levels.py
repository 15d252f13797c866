"""Aggregates of groups within groups, and aggregates of windows: one SELECT over another."""

from dataclasses import replace
from typing import TYPE_CHECKING

from deployments.prompt_builder.query_spec.compiler.expressions import Expressions
from deployments.prompt_builder.query_spec.compiler.groups import GroupQuery
from deployments.prompt_builder.query_spec.compiler.outputs import shown_items
from deployments.prompt_builder.query_spec.compiler.rows import RowQuery
from deployments.prompt_builder.query_spec.compiler.sql import Select, Sql, nested
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    Condition,
    Expr,
    QuerySpec,
    Window,
)
from deployments.prompt_builder.query_spec.shape import base_aggregates, windows

if TYPE_CHECKING:
    from deployments.prompt_builder.query_spec.compiler.statement import Statement


def is_two_level(spec: QuerySpec, context: SpecContext) -> bool:
    """True if an aggregate runs over inner groups (``by``) or over a window."""
    nodes = (*spec.show, *(key.expression for key in spec.sort), *spec.where)
    return any(_runs_over_inner(a) for node in nodes for a in base_aggregates(node, spec.table, context))


def _runs_over_inner(node: Aggregate) -> bool:
    return bool(node.by) or (node.argument is not None and bool(windows(node.argument)))


class TwoLevelQuery(GroupQuery):
    """The outer SELECT; the inner one is the query of a specification of its own."""

    def __init__(self, statement: "Statement", spec: QuerySpec) -> None:
        context = statement.context
        items = shown_items(spec, context)
        nodes = (*items, *spec.where)
        self.found = tuple(dict.fromkeys(a for n in nodes for a in base_aggregates(n, spec.table, context)))
        keys = tuple(item for item in items if not base_aggregates(item, spec.table, context))
        self.inner = self.inner_query(statement, spec, keys)
        self.inner_select = self.inner.select()
        self.inner_names = self.inner.known()
        super().__init__(statement, spec, self.inner.scope)
        self.rows = Expressions(statement, self.scope, self, self.inner_names)
        self.expressions = self.rows

    def inner_query(
        self, statement: "Statement", spec: QuerySpec, keys: tuple[Expr, ...]
    ) -> GroupQuery | RowQuery:
        """The query of the inner groups, or of the rows with their windows."""
        over_inner = [a for a in self.found if _runs_over_inner(a)]
        if any(a.by != over_inner[0].by or a.conditions for a in over_inner):
            raise CompileError("aggregates over different inner groups in one query")
        primary = tuple(
            ColumnRef(item.table, key)
            for item in keys
            if isinstance(item, ColumnRef) and statement.context.label(item.table) == item.column
            for key in statement.context.tables[item.table].primary_key
        )
        by = over_inner[0].by
        values = tuple(self.inner_value(a, keys, bool(by)) for a in self.found)
        where = tuple(c for c in spec.where if not base_aggregates(c, spec.table, statement.context))
        show = tuple(dict.fromkeys((*primary, *keys, *by, *(v for v in values if v is not None))))
        inner = QuerySpec(spec.table, show, where=where)
        if not by:
            return RowQuery(statement, inner)
        if not all(base_aggregates(v, spec.table, statement.context) for v in values if v is not None):
            raise CompileError("by needs an aggregate inside the aggregate")
        return GroupQuery(statement, inner)

    def inner_value(self, node: Aggregate, keys: tuple[Expr, ...], grouped: bool) -> Expr | None:
        """What the inner SELECT computes for an aggregate of the outer one."""
        if _runs_over_inner(node):
            return _partitioned(node.argument, keys) if node.argument is not None else None
        if not grouped:
            if node.conditions:
                raise CompileError("a condition inside an aggregate beside an aggregate of a window")
            return node.argument
        if node.name not in {"sum", "count", "min", "max"} or node.distinct:
            raise CompileError(f"{node.name} of all rows beside an aggregate over inner groups")
        return node

    def aggregate(self, node: Aggregate, expressions: Expressions) -> Sql:
        if _runs_over_inner(node) and node.argument is not None:
            value = _partitioned(node.argument, tuple(self.key_items))
            return self.rows.call(node, argument=self.inner_names[value])
        if node in self.inner_names:
            name = node.name if node.name in {"min", "max"} else "sum"
            return Sql(f"{name.upper()}({self.inner_names[node]})")
        return self.rows.call(
            node, argument="*" if node.argument is None else self.inner_names[node.argument]
        )

    def add_key(self, expression: Expr) -> None:
        self.add_shown_key(expression, self.rows.sql(expression).text)

    def add_shown_key(self, item: Expr, text: str) -> None:
        for key in (*self.identity(item), text):
            self.group[key] = None

    def identity(self, expression: Expr) -> list[str]:
        if not isinstance(expression, ColumnRef) or self.context.label(expression.table) != expression.column:
            return []
        keys = self.context.tables[expression.table].primary_key
        return [name for key in keys if (name := self.inner_names.get(ColumnRef(expression.table, key)))]

    def place(self, condition: Condition, core: Select) -> None:
        if base_aggregates(condition, self.spec.table, self.context):
            core.having.append(self.expressions.condition(condition).within(5))

    def close(self, core: Select) -> Select:
        core.group = list(self.group)
        core.source = f"{nested(self.inner_select.text())} AS inner_groups"
        return core


def _partitioned(expression: Expr, keys: tuple[Expr, ...]) -> Expr:
    """The expression with its windows running within each key, unless they say where."""
    if isinstance(expression, Window) and not expression.per:
        return replace(expression, per=keys)
    return expression
