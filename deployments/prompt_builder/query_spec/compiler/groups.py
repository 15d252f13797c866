"""Queries with one result row per group, or a single one."""

from typing import TYPE_CHECKING, Final

from deployments.prompt_builder.query_spec.compiler.expressions import Expressions
from deployments.prompt_builder.query_spec.compiler.query import Query
from deployments.prompt_builder.query_spec.compiler.rows import RowAggregates, group_keys
from deployments.prompt_builder.query_spec.compiler.scope import Scope
from deployments.prompt_builder.query_spec.compiler.sql import Select, Sql, identifier, nested
from deployments.prompt_builder.query_spec.derived import derived_conditions, derived_value
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    Bucket,
    ColumnRef,
    Condition,
    Exists,
    Expr,
    Predicate,
    QuerySpec,
    Subquery,
    Window,
)
from deployments.prompt_builder.query_spec.shape import CONSTANTS, base_aggregates, windows
from deployments.prompt_builder.query_spec.walk import row_nodes, walk

if TYPE_CHECKING:
    from deployments.prompt_builder.query_spec.compiler.statement import Statement

_NUMBERED_FROM: Final = 60  # a longer group key is written as the number of its column, for readability


class GroupQuery(Query):
    """Groups of the table's rows: what is shown without an aggregate is the key of a group."""

    def __init__(
        self, statement: "Statement", spec: QuerySpec, scope: Scope | None = None, one_value: bool = False
    ) -> None:
        super().__init__(statement, spec, scope, one_value)
        self.row_mode = RowAggregates(statement, spec)
        self.rows = Expressions(statement, self.scope, self.row_mode)
        self.group: dict[str, None] = {}
        self.key_items = tuple(item for item in self.items if self.is_key(item))
        self.key_sql: dict[Expr, Sql] = {}

    def is_key(self, item: Expr) -> bool:
        """True for a shown item that is the same for all rows of a group."""
        if isinstance(item, (*CONSTANTS, Subquery)) or windows(item):
            return False
        return not base_aggregates(item, self.spec.table, self.context)

    # group keys

    def add_key(self, expression: Expr) -> None:
        """Group by an expression; a value that descendants make is fixed by the row whose value it is."""
        owners = self.owners(expression)
        for table in owners:
            self.add_primary_key(table)
        if isinstance(expression, ColumnRef) and self.context.label(expression.table) == expression.column:
            self.add_primary_key(expression.table)
        if not owners:
            self.group[self.rows.sql(expression, required=True).text] = None

    def add_shown_key(self, item: Expr, text: str) -> None:
        """Group by a shown item, which may be anything, since GROUP BY can name it by its number."""
        if isinstance(item, ColumnRef) and self.context.label(item.table) == item.column:
            self.add_primary_key(item.table)
        self.group[text] = None

    def add_primary_key(self, table: str) -> None:
        for key in self.context.tables[table].primary_key:
            self.group[self.scope.column(table, key, required=True).text] = None

    def owners(self, expression: Expr) -> list[str]:
        """Tables of one of whose rows the expression is a value that no single column holds."""
        for node in walk(expression, (Subquery,)):
            if isinstance(node, Aggregate | Exists):
                return [self.spec.table]
            if isinstance(node, Predicate):
                parts = derived_conditions(node.table, node.name, self.context)
                if any(isinstance(inner, Aggregate | Exists) for part in parts for inner in walk(part)):
                    return [node.table]
            if isinstance(node, ColumnRef):
                value = derived_value(node.table, node.column, self.context)
                if value is not None and any(isinstance(part, Aggregate | Exists) for part in walk(value)):
                    return [node.table]
                if value is not None and (found := self.owners(value)):
                    return [node.table] if found == [self.spec.table] else found
        return []

    def add_bare_columns(self, node: Expr | Condition) -> None:
        """Group by the columns that stand beside aggregates, e.g. the budget in a sum's share of it."""
        for part in row_nodes(node):
            if isinstance(part, ColumnRef):
                self.add_key(part)

    # aggregates and windows

    def aggregate(self, node: Aggregate, expressions: Expressions) -> Sql:
        inner = node.argument
        if inner is not None and base_aggregates(inner, self.spec.table, self.context):
            for expression in node.per:
                self.add_key(expression)
            partition = f"PARTITION BY {', '.join(self.key_texts(node.per))}" if node.per else ""
            call = self.rows.call(node, argument=self.expressions.sql(inner).text)
            return Sql(f"{call.text} OVER ({partition})")
        if node.scope == "group" and not node.per:
            return self.rows.call(node)
        return self.beside_groups(node)

    def beside_groups(self, node: Aggregate) -> Sql:
        """An aggregate over all rows, or all with a part of the group's key, beside the group's own."""
        rows, select = self.row_mode.rows(node)
        for expression in node.per:
            here, there = group_keys(expression, self.rows), group_keys(expression, rows)
            select.where += [f"{a} = {b}" for a, b in zip(there, here, strict=True)]
            self.add_key(expression)
        if node.scope != "all":
            self.keep_grouped_rows(rows.scope)
        select.columns = [rows.call(node).text]
        select.joins = rows.scope.join_lines()
        return Sql(nested(select.text()))

    def keep_grouped_rows(self, scope: Scope) -> None:
        """Leave out the rows that are in no group because the parent that names it is missing."""
        for item in self.key_items:
            for part in row_nodes(item):
                if isinstance(part, ColumnRef) and self.context.is_nullable(self.spec.table, part.table):
                    scope.join(part.table, required=True)

    def window_order(self, node: Window) -> tuple[str, ...]:
        if self.bucket is not None:
            return (self.text(self.bucket),)
        return (*self.sort_along(), *self.tie_breakers())

    def partition(self, node: Window) -> tuple[str, ...]:
        """Along a date bucket every combination of the other keys has a line of its own."""
        if node.per or self.bucket is None or node.name in {"rank", "share"}:
            return self.key_texts(node.per)
        return self.key_texts(tuple(item for item in self.key_items if item != self.bucket))

    def identity(self, expression: Expr) -> list[str]:
        found = super().identity(expression)
        if found:
            self.add_key(expression)
        return found

    def text(self, expression: Expr, required: bool = False) -> str:
        # PostgreSQL knows a group's key again only by the very same text.
        if expression in self.key_sql:
            return self.key_sql[expression].text
        if self.is_key(expression):
            return self.rows.sql(expression, required).text
        return super().text(expression, required)

    def tie_breakers(self) -> list[str]:
        return [self.text(item) for item in self.key_items]

    def default_order(self, wrapped: bool) -> list[str]:
        first = self.bucket or next(iter(self.key_items), None)
        if isinstance(first, Bucket):
            return [] if wrapped else [f"MIN({self.rows.sql(first.argument).text})"]
        return [] if first is None else [identifier(self.outputs.items[first].name)]

    # query

    def select(self) -> Select:
        core = Select()
        for item in self.key_items:
            self.key_sql[item] = self.rows.sql(item, required=True)
            self.add_shown_key(item, self.key_sql[item].text)
        compiled = dict(self.key_sql)
        for item in self.items:
            if item not in compiled:
                self.add_bare_columns(item)
                compiled[item] = self.expressions.sql(item)
        for item in self.items:
            self.outputs.add(item, compiled[item])
        for condition in self.spec.where:
            self.place(condition, core)
        return self.finish(core)

    def place(self, condition: Condition, core: Select) -> None:
        """Put a condition on rows, on groups, or after the windows."""
        if not self.is_on_groups(condition):
            core.where.append(self.rows.condition(condition).within(5))
            return
        self.add_bare_columns(condition)
        nested_aggregate = any(
            a.argument is not None and base_aggregates(a.argument, self.spec.table, self.context)
            for a in base_aggregates(condition, self.spec.table, self.context)
        )
        if windows(condition) or nested_aggregate:
            self.late.append(condition)
        else:
            core.having.append(self.expressions.condition(condition).within(5))

    def is_on_groups(self, condition: Condition) -> bool:
        """True unless it reads single rows: columns beside its aggregates must be keys of the group."""
        if not base_aggregates(condition, self.spec.table, self.context) and not windows(condition):
            return False
        bare = [part for part in row_nodes(condition) if isinstance(part, ColumnRef)]
        named = {
            item.table for item in self.key_items if isinstance(item, ColumnRef) and self.is_identity(item)
        }
        return all(column in self.key_items or column.table in named for column in bare)

    def is_identity(self, item: ColumnRef) -> bool:
        keys = self.context.tables[item.table].primary_key
        return self.context.label(item.table) == item.column or keys == (item.column,)

    def close(self, core: Select) -> Select:
        shown = [output.sql.text for output in self.outputs.items.values()]
        core.group = [
            str(shown.index(key) + 1)
            if key in shown and (len(key) > _NUMBERED_FROM or "SELECT" in key)
            else key
            for key in self.group
        ]
        return super().close(core)
