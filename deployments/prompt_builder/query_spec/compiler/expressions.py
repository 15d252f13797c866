"""Expressions and conditions of one SELECT, given how it treats aggregates and windows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from deployments.prompt_builder.query_spec.check import anchor, kind_of
from deployments.prompt_builder.query_spec.compiler.ranges import PLAIN_NUMBER, ranges, whole_ranges
from deployments.prompt_builder.query_spec.compiler.scope import Scope
from deployments.prompt_builder.query_spec.compiler.sql import Select, Sql, nested, text_literal
from deployments.prompt_builder.query_spec.context import Kind
from deployments.prompt_builder.query_spec.derived import derived_conditions, derived_value
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AllOf,
    AnyOf,
    Arithmetic,
    Between,
    Bucket,
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
    Node,
    NumberLiteral,
    Placeholder,
    Predicate,
    Subquery,
    TextLiteral,
    TextMatch,
    Today,
    Window,
)

if TYPE_CHECKING:
    from deployments.prompt_builder.query_spec.compiler.statement import Statement

_EXTRACT: Final = {"year": "YEAR", "weekday": "ISODOW", "month_of_year": "MONTH", "hour": "HOUR"}
_LEVELS: Final = {"+": 3, "-": 3, "*": 2, "/": 2}


class Mode(Protocol):
    """What an aggregate over the query's own rows and a window mean in the SELECT at hand."""

    def aggregate(self, node: Aggregate, expressions: "Expressions") -> Sql: ...

    def window(self, node: Window, expressions: "Expressions") -> Sql: ...


class Expressions:
    """Compiles the nodes of one SELECT. ``known`` are nodes that an inner SELECT has computed already."""

    def __init__(
        self, statement: "Statement", scope: Scope, mode: Mode, known: Mapping[Node, str] | None = None
    ) -> None:
        self.statement = statement
        self.context = statement.context
        self.scope = scope
        self.mode = mode
        self.known = known or {}

    def kind(self, expression: Expr) -> Kind:
        return kind_of(expression, self.scope.bases, self.context)

    # ------------------------------------------------------------ expressions

    def sql(self, expression: Expr, required: bool = False) -> Sql:
        """The SQL of an expression; ``required`` drops rows where a parent that it reads is missing."""
        if expression in self.known:
            return Sql(self.known[expression])
        match expression:
            case ColumnRef(table, column):
                return self.column(table, column, required)
            case NumberLiteral(text):
                return Sql(text)
            case TextLiteral(value):
                return Sql(text_literal(value))
            case Placeholder(name):
                return self.placeholder(name)
            case Today():
                return Sql("CURRENT_DATE")
            case Arithmetic():
                return self.arithmetic(expression, required)
            case Aggregate():
                return self.aggregate(expression)
            case Window():
                return self.mode.window(expression, self)
            case DateBucket(part, argument):
                return self.date_bucket(part, argument, required)
            case Bucket(argument, bounds):
                return self.bucket(argument, bounds, required)
            case Function(name, arguments):
                return Sql(f"{name.upper()}({', '.join(self.sql(a, required).text for a in arguments)})")
            case Flag(condition):
                return Sql(self.condition(condition).within(4), 4)
            case Subquery(spec):
                return Sql(nested(self.statement.values(spec).text()))

    def column(self, table: str, column: str, required: bool) -> Sql:
        value = derived_value(table, column, self.context)
        if value is None:
            return self.scope.column(table, column, required)
        if table == self.scope.table or not self.context.reaches(self.scope.table, table):
            owner = self.scope
            while owner.outer is not None and owner.table != table:
                owner = owner.outer
            return self.statement.row_expressions(owner).sql(value, required)
        return self.statement.parent_expressions(self.scope, table, required).sql(value, required)

    def placeholder(self, name: str) -> Sql:
        if name.startswith("N"):
            return Sql(self.statement.placeholders.number(name))
        if name.startswith("D"):
            dates = self.statement.placeholders.dates(name)
            return Sql(f"({dates.start_sql or dates.end_sql})::date", 1)
        raise CompileError(f"{name} stands where no column says what it is a value of")

    def arithmetic(self, node: Arithmetic, required: bool) -> Sql:
        level = _LEVELS[node.operator]
        left, right = self.operand(node.left, required), self.operand(node.right, required)
        if node.operator != "/":
            return Sql(f"{left.within(level)} {node.operator} {right.within(level - 1)}", level)
        divisor = right.text if _is_nonzero(node.right) else f"NULLIF({right.text}, 0)"
        if self.is_whole(node.left) and self.is_whole(node.right):
            left = self.fractional(node.left, left)
        return Sql(
            f"{left.within(level)} / {Sql(divisor, right.level if divisor == right.text else 0).within(1)}",
            level,
        )

    def operand(self, expression: Expr, required: bool = False) -> Sql:
        """An operand of arithmetic: instants count as their dates, so that differences are whole days."""
        found = self.sql(expression, required)
        if self.kind(expression) == "timestamp":
            return Sql(f"({found.within(0)} AT TIME ZONE 'UTC')::date", 1)
        return found

    def is_whole(self, expression: Expr) -> bool:
        """True if PostgreSQL may compute in integers, where division would drop the fraction."""
        match expression:
            case NumberLiteral(text):
                return "." not in text
            case Placeholder():
                return "." not in self.sql(expression).text
            case Arithmetic("/"):
                return False
            case Arithmetic(_, left, right):
                return self.is_whole(left) and self.is_whole(right)
            case Aggregate(name="count") | DateBucket():
                return True
            case Aggregate(name="sum" | "min" | "max", argument=argument) if argument is not None:
                return self.is_whole(argument)
            case ColumnRef(table, column):
                value = derived_value(table, column, self.context)
                if value is not None:
                    return self.is_whole(value)
                return self.context.columns[table, column].type in {"smallint", "integer", "bigint", "date"}
            case Today():
                return True
            case Subquery(spec):
                return self.is_whole(spec.show[0])
        return not isinstance(expression, Aggregate | Window)

    def fractional(self, expression: Expr, compiled: Sql) -> Sql:
        """The dividend with a fraction, so that PostgreSQL divides exactly."""
        if isinstance(expression, NumberLiteral):
            return Sql(f"{expression.text}.0")
        if isinstance(expression, Arithmetic) and expression.operator == "*":
            for factor, other in ((expression.left, expression.right), (expression.right, expression.left)):
                if isinstance(factor, NumberLiteral):
                    return Sql(f"{factor.text}.0 * {self.operand(other).within(1)}", 2)
        return Sql(f"1.0 * {compiled.within(1)}", 2)

    def date_bucket(self, part: str, argument: Expr, required: bool) -> Sql:
        value = self.sql(argument, required)
        if self.kind(argument) == "timestamp":
            value = Sql(f"{value.within(0)} AT TIME ZONE 'UTC'", 3)
        if part == "day":
            return Sql(f"{value.within(0)}::date", 1) if self.kind(argument) == "timestamp" else value
        if part in _EXTRACT:
            return Sql(f"EXTRACT({_EXTRACT[part]} FROM {value.text})::int", 1)
        if part == "week" and self.context.domain.week_starts_on == "sunday":
            # PostgreSQL's weeks begin on Monday: the week of the next day, a day earlier.
            return Sql(f"DATE_TRUNC('week', {value.within(3)} + INTERVAL '1 day')::date - 1", 3)
        return Sql(f"DATE_TRUNC('{part}', {value.text})::date", 1)

    def bucket(self, argument: Expr, bounds: tuple[Expr, ...], required: bool) -> Sql:
        """A label per range. A bound ends a range of whole numbers (0-30, 31-60); else it begins one.

        Raises:
            CompileError: a bound is no plain number, so that no label can be written.
        """
        value = self.sql(argument, required).within(3)
        texts = [self.sql(bound).text for bound in bounds]
        if not all(PLAIN_NUMBER.fullmatch(text) for text in texts):
            raise CompileError("the bounds of a bucket must be plain numbers")
        if self.is_whole(argument) and all(map(self.is_whole, bounds)):
            return whole_ranges(value, [int(text) for text in texts])
        return ranges(value, texts)

    # ------------------------------------------------------------ aggregates

    def aggregate(self, node: Aggregate) -> Sql:
        if isinstance(node.argument, Subquery):
            counted = self.statement.counted(node.argument.spec)
            return Sql(f"(SELECT COUNT(*) FROM {nested(counted.text())} AS counted)")
        table = anchor(node, self.scope.table, self.context)
        if table == self.scope.table:
            return self.mode.aggregate(node, self)
        return self.child_aggregate(node, table)

    def child_aggregate(self, node: Aggregate, table: str) -> Sql:
        """The aggregate over the descendants of the row at hand, as a scalar subquery."""
        inner = self.statement.scope(table, self.scope)
        expressions = self.statement.row_expressions(inner)
        select = Select()
        call = expressions.call(node, with_filter=False)
        empty_is_zero = node.name in {"sum", "count"} and not call.text.startswith("COUNT")
        select.columns = [f"COALESCE({call.text}, 0)" if empty_is_zero else call.text]
        self.correlated(select, expressions, node.conditions)
        return Sql(nested(select.text()))

    def exists(self, node: Exists) -> Sql:
        inner = self.statement.scope(node.table, self.scope)
        select = Select(columns=["1"])
        self.correlated(select, self.statement.row_expressions(inner), node.conditions)
        return Sql(
            f"{'NOT ' if node.negated else ''}EXISTS {nested(select.text())}", 0 if not node.negated else 4
        )

    def correlated(
        self, select: Select, expressions: "Expressions", conditions: tuple[Condition, ...]
    ) -> None:
        """Fill in FROM and WHERE of a subquery over descendants of the row at hand."""
        path = self.context.path(expressions.scope.table, self.scope.table)
        if not path:
            raise CompileError(f"{expressions.scope.table} does not lead to {self.scope.table}")
        select.where = expressions.scope.correlate(path)
        select.where += [expressions.condition(condition).within(5) for condition in conditions]
        select.source = expressions.scope.source()
        select.joins = expressions.scope.join_lines()

    def call(self, node: Aggregate, with_filter: bool = True, argument: str | None = None) -> Sql:
        """The aggregate function over the rows of this SELECT; ``argument`` replaces the compiled one."""
        if argument is None:
            argument = "*" if node.argument is None else self.sql(node.argument).text
        distinct = "DISTINCT " if node.distinct else ""
        cast = ""
        if node.name == "median":
            call, cast = f"PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY {argument})", "::numeric"
        else:
            call = f"{node.name.upper()}({distinct}{argument})"
        if with_filter and node.conditions:
            conditions = " AND ".join(self.condition(c, optional=True).within(5) for c in node.conditions)
            call = f"{call} FILTER (WHERE {conditions})"
            if node.name == "sum":
                return Sql(f"COALESCE({call}, 0)")
        return Sql(
            f"({call}){cast}" if cast and node.conditions and with_filter else call + cast, 1 if cast else 0
        )

    # ------------------------------------------------------------ conditions

    def condition(self, condition: Condition, optional: bool = False) -> Sql:
        """SQL of a condition; ``optional`` if rows may pass though a parent is missing."""
        required = not optional
        match condition:
            case Compare(operator, left, right):
                return self.compare(operator, left, right, required)
            case InList(argument, values, negated):
                return self.in_list(argument, values, negated, required)
            case InDates():
                return self.in_dates(condition, required)
            case Between(argument, low, high):
                value = self.comparable(argument, required).within(3)
                bounds = f"{self.comparable(low).within(3)} AND {self.comparable(high).within(3)}"
                return Sql(f"{value} BETWEEN {bounds}", 4)
            case IsNull(argument, negated):
                found = self.sql(argument, required=negated and required)
                return Sql(f"{found.within(0)} IS {'NOT ' if negated else ''}NULL", 4)
            case TextMatch(kind, argument, value):
                return self.text_match(kind, argument, value, required)
            case Exists():
                return self.exists(condition)
            case Predicate(table, name):
                return self.predicate(table, name, optional)
            case AnyOf(conditions):
                return Sql(" OR ".join(self.condition(c, optional=True).within(4) for c in conditions), 6)
            case AllOf(conditions):
                return Sql(" AND ".join(self.condition(c, optional).within(5) for c in conditions), 5)
            case Negation(inner):
                return Sql(f"NOT {self.condition(inner, optional=True).within(0)}", 4)

    def predicate(self, table: str, name: str, optional: bool) -> Sql:
        conditions = derived_conditions(table, name, self.context)
        if table == self.scope.table or not self.context.reaches(self.scope.table, table):
            expressions = self.statement.row_expressions(self._owner(table))
        else:
            expressions = self.statement.parent_expressions(self.scope, table, required=not optional)
        return Sql(
            " AND ".join(expressions.condition(c, optional).within(4) for c in conditions),
            4 + (len(conditions) > 1),
        )

    def _owner(self, table: str) -> Scope:
        scope = self.scope
        while scope.outer is not None and scope.table != table:
            scope = scope.outer
        return scope

    def compare(self, operator: str, left: Expr, right: Expr, required: bool) -> Sql:
        texts = [
            self.beside(side, other, required).within(3) for side, other in ((left, right), (right, left))
        ]
        return Sql(f"{texts[0]} {'<>' if operator == '!=' else operator} {texts[1]}", 4)

    def beside(self, expression: Expr, other: Expr, required: bool) -> Sql:
        """An operand of a comparison; a V placeholder is a value of the column on the other side."""
        if isinstance(expression, Placeholder) and expression.name.startswith("V"):
            return Sql(self.statement.placeholders.value(expression.name, other))
        if isinstance(expression, TextLiteral) and self.kind(other) in {"date", "timestamp"}:
            return Sql(f"DATE {text_literal(expression.value)}")
        return self.comparable(expression, required)

    def comparable(self, expression: Expr, required: bool = False) -> Sql:
        return self.sql(expression, required)

    def in_list(self, argument: Expr, values: tuple[Expr, ...], negated: bool, required: bool) -> Sql:
        word = "NOT IN" if negated else "IN"
        left = self.sql(argument, required).within(3)
        if isinstance(values[0], Subquery):
            inner = self.statement.values(values[0].spec, without_nulls=negated)
            return Sql(f"{left} {word} {nested(inner.text())}", 4)
        return Sql(f"{left} {word} ({', '.join(self.beside(v, argument, False).text for v in values)})", 4)

    def in_dates(self, node: InDates, required: bool) -> Sql:
        dates = self.statement.placeholders.dates(node.dates.name)
        value = self.sql(node.argument, required).within(3)
        start, end = dates.start_sql, dates.end_sql
        if node.relation == "before":
            return Sql(f"{value} < {start or end}", 4)
        if node.relation == "after":
            return Sql(f"{value} >= {end}" if end else f"{value} > {start}", 4)
        if node.negated:
            parts = [f"{value} < {start}"] if start else []
            parts += [f"{value} >= {end}"] if end else []
            return Sql(" OR ".join(parts), 4 if len(parts) == 1 else 6)
        parts = [f"{value} >= {start}"] if start else []
        parts += [f"{value} < {end}"] if end else []
        return Sql(" AND ".join(parts), 4 if len(parts) == 1 else 5)

    def text_match(self, kind: str, argument: Expr, value: Expr, required: bool) -> Sql:
        text = self.sql(argument, required).within(0)
        column = (
            self.context.columns.get((argument.table, argument.column))
            if isinstance(argument, ColumnRef)
            else None
        )
        cast = "::text" if column is not None and column.enum_values else ""
        return Sql(f"{text}{cast} ILIKE {self.pattern(kind, argument, value)}", 4)

    def pattern(self, kind: str, argument: Expr, value: Expr) -> str:
        found = value.value if isinstance(value, TextLiteral) else ""
        if isinstance(value, Placeholder):
            found = self.statement.placeholders.text(value.name, argument)
        escaped = found.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return text_literal(f"{escaped}%" if kind == "starts" else f"%{escaped}%")


def _is_nonzero(expression: Expr) -> bool:
    return isinstance(expression, NumberLiteral) and float(expression.text) != 0
