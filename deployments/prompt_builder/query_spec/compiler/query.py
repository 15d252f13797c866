"""What all queries share: outputs, conditions that wait for windows, order, limits."""

from typing import TYPE_CHECKING

from deployments.prompt_builder.query_spec.compiler.expressions import Expressions
from deployments.prompt_builder.query_spec.compiler.outputs import (
    Outputs,
    is_nullable,
    shown_items,
    sort_text,
)
from deployments.prompt_builder.query_spec.compiler.scope import Scope
from deployments.prompt_builder.query_spec.compiler.sql import Select, Sql, identifier, nested
from deployments.prompt_builder.query_spec.compiler.windows import Frame, running_share, window_sql
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    Condition,
    DateBucket,
    Expr,
    Node,
    NumberLiteral,
    Placeholder,
    QuerySpec,
    SortKey,
    Window,
)
from deployments.prompt_builder.query_spec.shape import CONSTANTS, windows
from deployments.prompt_builder.query_spec.walk import children

if TYPE_CHECKING:
    from deployments.prompt_builder.query_spec.compiler.statement import Statement

POSITION = "position_in_group"


class Query:
    """Base of the query kinds; also the `Mode` of its own expressions."""

    def __init__(
        self, statement: "Statement", spec: QuerySpec, scope: Scope | None = None, one_value: bool = False
    ) -> None:
        self.statement = statement
        self.context = statement.context
        self.spec = spec
        self.scope = scope or statement.scope(spec.table)
        self.expressions = Expressions(statement, self.scope, self)
        self.items = spec.show if one_value else shown_items(spec, self.context)
        self.outputs = Outputs(self.context, spec.table)
        self.late: list[Condition] = []

    # ------------------------------------------------------------ for the kinds to say

    def aggregate(self, node: Aggregate, expressions: Expressions) -> Sql:
        raise NotImplementedError

    def window(self, node: Window, expressions: Expressions) -> Sql:
        """A window over the rows or groups of this query."""
        if node.name == "running" and isinstance(node.argument, Window) and node.argument.name == "share":
            frame = Frame(self.window_order(node), self.partition(node))
            return running_share(expressions.operand(node.argument.argument), frame)
        value = expressions.operand(node.argument)
        order = () if node.name in {"rank", "share"} else self.window_order(node)
        return window_sql(node, value, Frame(order, self.partition(node)))

    def window_order(self, node: Window) -> tuple[str, ...]:
        raise NotImplementedError

    def partition(self, node: Window) -> tuple[str, ...]:
        return self.key_texts(node.per)

    def tie_breakers(self) -> list[str]:
        """SQL of what tells result rows apart, for a stable order."""
        raise NotImplementedError

    # ------------------------------------------------------------ shared steps

    @property
    def bucket(self) -> DateBucket | None:
        """The date bucket that the result runs along."""
        return next((item for item in self.items if isinstance(item, DateBucket)), None)

    def key_texts(self, expressions: tuple[Expr, ...]) -> tuple[str, ...]:
        """SQL that tells groups apart: a name stands for the row it names, so its primary key is used."""
        return tuple(
            text
            for expression in expressions
            for text in self.identity(expression) or [self.text(expression, required=True)]
        )

    def text(self, expression: Expr, required: bool = False) -> str:
        return self.expressions.sql(expression, required).text

    def identity(self, expression: Expr) -> list[str]:
        """Primary key columns of the row that a name column names; empty for any other expression."""
        if not isinstance(expression, ColumnRef) or self.context.label(expression.table) != expression.column:
            return []
        return [
            self.scope.column(expression.table, key, required=True).text
            for key in self.context.tables[expression.table].primary_key
        ]

    def sort_texts(self, wrapped: bool) -> list[str]:
        """ORDER BY terms of the specification's sort keys, by output name where that is the same value."""
        texts = []
        for key in self.spec.sort:
            if isinstance(key.expression, CONSTANTS):
                continue
            output = self.outputs.items.get(key.expression)
            if output is None and self.spec.distinct:
                raise CompileError("a distinct list is sorted by something that it does not show")
            if output is None:
                texts.append(sort_text(key, self.text(key.expression), nullable=True))
                continue
            named = wrapped or (not output.rounded and not isinstance(key.expression, ColumnRef))
            text = identifier(output.name) if named else output.sql.text
            nullable = key.descending and is_nullable(key.expression, self.spec.table, self.context)
            texts.append(sort_text(key, text, nullable))
        return texts

    def number(self, value: NumberLiteral | Placeholder | None) -> str | None:
        """A LIMIT or OFFSET.

        Raises:
            CompileError: it is no whole number.
        """
        if value is None:
            return None
        text = self.expressions.sql(value).text
        if not text.isdigit():
            raise CompileError(f"a limit of {text}")
        return text

    def finish(self, core: Select) -> Select:
        """Add columns, order and limits to the core; conditions on windows and limits per group wrap it."""
        visible = [self.outputs.items[item] for item in self.items]
        if not self.late and not self.spec.limit_per:
            core.columns = [column for output in visible for column in output.columns()]
            core.order = self.order(wrapped=False)
            self.limit(core)
            return self.close(core)
        names = [name for output in visible for name in output.references()]
        if self.late:
            core = self.filtered(core)
        if self.spec.limit_per:
            return self.limited_per_group(core, names)
        core.columns, core.order = names, self.order(wrapped=True)
        self.limit(core)
        return core

    def limit(self, select: Select) -> None:
        select.limit, select.offset = self.number(self.spec.limit), self.number(self.spec.offset)

    def close(self, core: Select) -> Select:
        """Fill in FROM when every column of the SELECT is known."""
        core.source = self.scope.source()
        core.joins = self.scope.join_lines()
        return core

    def filtered(self, core: Select) -> Select:
        """The core as a derived table under the conditions that need its windows."""
        needed = [operand for condition in self.late for operand in operands(condition)]
        for expression in (*needed, *self.spec.limit_per):
            self.outputs.add(expression, self.expressions.sql(expression))
        core.columns = [output.raw_column() for output in self.outputs.items.values()]
        outer = Expressions(self.statement, self.scope, self, self.known())
        return Select(
            source=f"{nested(self.close(core).text())} AS computed",
            where=[outer.condition(condition).within(5) for condition in self.late],
        )

    def known(self) -> dict[Node, str]:
        return {expression: identifier(output.name) for expression, output in self.outputs.items.items()}

    def limited_per_group(self, core: Select, names: list[str]) -> Select:
        """The first rows of each group, by a position that an inner SELECT computes."""
        known = self.known()
        if self.late:
            partition = [known[expression] for expression in self.spec.limit_per]
            order = self.sort_texts(wrapped=True) or partition
            columns = list(known.values())
        else:
            partition = list(self.key_texts(self.spec.limit_per))
            order = [*self.unwrapped_sort(), *self.tie_breakers()]
            columns = [output.raw_column() for output in self.outputs.items.values()]
        over = f"PARTITION BY {', '.join(partition)} ORDER BY {', '.join(dict.fromkeys(order))}"
        core.columns = [*columns, f"ROW_NUMBER() OVER ({over}) AS {POSITION}"]
        inner = core if self.late else self.close(core)
        return Select(
            columns=names,
            source=f"{nested(inner.text())} AS ranked",
            where=[f"{POSITION} <= {self.number(self.spec.limit)}"],
            order=[*(known[e] for e in self.spec.limit_per if e in known), POSITION],
        )

    def sort_along(self) -> list[str]:
        """Sort terms that a window may run along: a window cannot be ordered by a window, least by itself."""
        return self.unwrapped_sort(tuple(key for key in self.spec.sort if not windows(key.expression)))

    def unwrapped_sort(self, keys: tuple[SortKey, ...] | None = None) -> list[str]:
        """Sort terms for a window of the same SELECT, where output names are not known."""
        return [
            sort_text(
                key, self.text(key.expression), is_nullable(key.expression, self.spec.table, self.context)
            )
            for key in (self.spec.sort if keys is None else keys)
            if not isinstance(key.expression, CONSTANTS)
        ]

    def order(self, wrapped: bool) -> list[str]:
        order = self.sort_texts(wrapped)
        if not order:
            order = self.default_order(wrapped)
        if self.spec.limit is not None and not wrapped and not self.spec.distinct:
            order += self.tie_breakers()
        return list(dict.fromkeys(order))

    def default_order(self, wrapped: bool) -> list[str]:
        return []


def operands(node: Node) -> list[Expr]:
    """The values that conditions compare, constants aside."""
    found: list[Expr] = []
    for child in children(node):
        if isinstance(child, Expr):
            if not isinstance(child, CONSTANTS):
                found.append(child)
        else:
            found.extend(operands(child))
    return found
