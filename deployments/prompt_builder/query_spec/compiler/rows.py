"""Queries with one result row per row of the table."""

from typing import TYPE_CHECKING

from deployments.prompt_builder.query_spec.compiler.expressions import Expressions
from deployments.prompt_builder.query_spec.compiler.query import Query
from deployments.prompt_builder.query_spec.compiler.sql import Select, Sql, identifier, nested
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import Aggregate, ColumnRef, Condition, QuerySpec, Window
from deployments.prompt_builder.query_spec.shape import base_aggregates, windows

if TYPE_CHECKING:
    from deployments.prompt_builder.query_spec.compiler.statement import Statement


class RowAggregates:
    """Aggregates over the query's rows as values beside one row: the average of all, of its group."""

    def __init__(self, statement: "Statement", spec: QuerySpec) -> None:
        self.statement = statement
        self.spec = spec
        self.joined: dict[Aggregate, str] = {}

    def window(self, node: Window, expressions: Expressions) -> Sql:
        raise CompileError(f"{node.name} in a condition on single rows")

    def aggregate(self, node: Aggregate, expressions: Expressions) -> Sql:
        if node.by or (
            node.argument is not None and base_aggregates(node.argument, self.spec.table, expressions.context)
        ):
            raise CompileError("groups of groups beside single rows")
        if node.per:
            return Sql(f"{self.join(node, expressions)}.{identifier(node.name)}")
        inner, select = self.rows(node)
        select.columns = [inner.call(node).text]
        select.joins = inner.scope.join_lines()
        return Sql(nested(select.text()))

    def rows(self, node: Aggregate) -> tuple[Expressions, Select]:
        """A SELECT over the rows that the aggregate is taken of."""
        inner = self.statement.row_expressions(self.statement.scope(self.spec.table))
        select = Select(source=inner.scope.source())
        if node.scope != "all":
            plain = [c for c in self.spec.where if is_plain(c, self.spec.table, inner)]
            select.where = [inner.condition(condition).within(5) for condition in plain]
        return inner, select

    def join(self, node: Aggregate, expressions: Expressions) -> str:
        """The alias of a joined table with the aggregate of every group."""
        if node not in self.joined:
            inner, select = self.rows(node)
            alias = self.joined[node] = self.statement.aliases.take("per_group")
            keys = [key for expression in node.per for key in group_keys(expression, inner)]
            outer = [key for expression in node.per for key in group_keys(expression, expressions)]
            names = [f"key_{number}" for number in range(1, len(keys) + 1)]
            select.columns = [f"{key} AS {name}" for key, name in zip(keys, names, strict=True)]
            select.columns.append(f"{inner.call(node).text} AS {identifier(node.name)}")
            select.joins = inner.scope.join_lines()
            select.group = keys
            on = " AND ".join(f"{alias}.{name} = {key}" for name, key in zip(names, outer, strict=True))
            expressions.scope.extra_joins.append(f"JOIN {nested(select.text())} AS {alias} ON {on}")
        return self.joined[node]


def group_keys(expression: object, expressions: Expressions) -> list[str]:
    """SQL of a group's key: the primary key of the row that a name names, else the expression itself."""
    context = expressions.context
    if isinstance(expression, ColumnRef) and context.label(expression.table) == expression.column:
        keys = context.tables[expression.table].primary_key
        return [expressions.scope.column(expression.table, key, required=True).text for key in keys]
    return [expressions.sql(expression, required=True).text]  # type: ignore[arg-type]  # an Expr


def is_plain(condition: Condition, table: str, expressions: Expressions) -> bool:
    """True for a condition on single rows: no aggregate over the query's own rows, no window."""
    return not base_aggregates(condition, table, expressions.context) and not windows(condition)


class RowQuery(Query):
    """Rows of the table, their parents' columns, values of their descendants, windows over the rows."""

    def __init__(self, statement: "Statement", spec: QuerySpec, one_value: bool = False) -> None:
        super().__init__(statement, spec, one_value=one_value)
        self.aggregates = RowAggregates(statement, spec)

    def aggregate(self, node: Aggregate, expressions: Expressions) -> Sql:
        return self.aggregates.aggregate(node, expressions)

    def window_order(self, node: Window) -> tuple[str, ...]:
        along: tuple[str, ...] = ()
        if self.bucket is not None:
            along = (self.text(self.bucket),)
        elif self.is_date(node.argument):
            along = (self.text(node.argument),)
        elif sort := self.sort_along():
            along = tuple(sort)
        elif date := self.context.date_column(self.spec.table):
            along = (self.scope.column(self.spec.table, date).text,)
        return (*along, *(k for k in self.tie_breakers() if k not in along)) if along else ()

    def is_date(self, expression: object) -> bool:
        return isinstance(expression, ColumnRef) and self.expressions.kind(expression) in {
            "date",
            "timestamp",
        }

    def tie_breakers(self) -> list[str]:
        keys = self.context.tables[self.spec.table].primary_key
        return [self.scope.column(self.spec.table, key).text for key in keys]

    def is_about_parents(self) -> bool:
        """True if nothing of the rows themselves is asked for: then a missing parent is no answer."""
        show = self.spec.show
        return bool(show) and all(isinstance(i, ColumnRef) and i.table != self.spec.table for i in show)

    def select(self) -> Select:
        core = Select(distinct=self.spec.distinct)
        required = self.spec.distinct or self.is_about_parents()
        for item in self.items:
            self.outputs.add(item, self.expressions.sql(item, required))
        for condition in self.spec.where:
            if windows(condition):
                self.late.append(condition)
            else:
                core.where.append(self.expressions.condition(condition).within(5))
        return self.finish(core)
