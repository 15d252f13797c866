"""One SQL statement under construction: its table aliases, its links, and the SELECTs it is made of."""

from collections.abc import Sequence
from dataclasses import replace

from deployments.prompt_builder.query_spec.compiler.expressions import Expressions
from deployments.prompt_builder.query_spec.compiler.kinds import compile_query
from deployments.prompt_builder.query_spec.compiler.links import Placeholders
from deployments.prompt_builder.query_spec.compiler.scope import Aliases, ParentScope, Scope
from deployments.prompt_builder.query_spec.compiler.sql import Select, Sql
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import Aggregate, ColumnRef, IsNull, QuerySpec, Window
from serve_app.contracts import Link


class PlainMode:
    """Rows of a subquery or a parent: aggregates over these very rows and windows mean nothing there."""

    def aggregate(self, node: Aggregate, expressions: Expressions) -> Sql:
        raise CompileError(
            f"{node.name} over the rows of {expressions.scope.table} inside a value of such a row"
        )

    def window(self, node: Window, expressions: Expressions) -> Sql:
        raise CompileError(f"{node.name} inside a value of one row of {expressions.scope.table}")


class Statement:
    """What all SELECTs of a statement share. ``qualified`` is False if a single table needs no names."""

    def __init__(self, context: SpecContext, links: Sequence[Link], qualified: bool) -> None:
        self.context = context
        self.placeholders = Placeholders(links)
        self.qualified = qualified
        self.aliases = Aliases()

    def select(self, spec: QuerySpec) -> Select:
        """The SELECT of a specification."""
        return compile_query(self, spec)

    def counted(self, spec: QuerySpec) -> Select:
        """The SELECT of a specification of which only the number of rows matters."""
        select = compile_query(self, spec, one_value=bool(spec.show))
        if select.limit is None:
            select.order = []
        return select

    def values(self, spec: QuerySpec, without_nulls: bool = False) -> Select:
        """The SELECT of a specification with one column; ``without_nulls`` because NOT IN fails on a NULL."""
        item = spec.show[0]
        if without_nulls and isinstance(item, ColumnRef):
            spec = replace(spec, where=(*spec.where, IsNull(item, negated=True)))
        select = compile_query(self, spec, one_value=True)
        if select.limit is None:
            select.order = []
        return select

    def scope(self, table: str, outer: Scope | None = None) -> Scope:
        return Scope(self.context, self.aliases, table, self.qualified, outer)

    def row_expressions(self, scope: Scope) -> Expressions:
        return Expressions(self, scope, PlainMode())

    def parent_expressions(self, scope: Scope, table: str, required: bool) -> Expressions:
        """Expressions over the row of an ancestor."""
        return self.row_expressions(ParentScope(scope, table, required))
