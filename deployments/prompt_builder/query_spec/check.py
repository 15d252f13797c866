"""Whether a specification makes sense: columns within reach, operands of fitting kinds.

Shared by the readers of the text form and of model tokens; what passes here compiles, given its links.
"""

import re
from typing import Final

from deployments.prompt_builder.query_spec.context import Kind, SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
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
    NumberLiteral,
    Placeholder,
    Predicate,
    QuerySpec,
    Subquery,
    TextLiteral,
    TextMatch,
    Today,
    Window,
)
from deployments.prompt_builder.query_spec.walk import row_nodes, walk

_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATES: Final[frozenset[Kind]] = frozenset({"date", "timestamp"})
_SEMANTIC_KINDS: Final[dict[str, Kind]] = {
    "date": "date",
    "datetime": "timestamp",
    "text": "text",
    "boolean": "boolean",
}


def anchor(aggregate: Aggregate, base: str, context: SpecContext) -> str:
    """The table an aggregate runs over, seen from a query over ``base``: the base itself or a descendant.

    Raises:
        SpecError: the columns lie in tables without a common descendant.
    """
    if aggregate.table is not None:
        return aggregate.table
    if aggregate.argument is None:
        return base
    tables = list(dict.fromkeys(_row_tables(aggregate.argument, base, context)))
    if all(context.reaches(base, table) for table in tables):
        return base
    for candidate in tables:
        if context.is_descendant(candidate, base) and all(context.reaches(candidate, t) for t in tables):
            return candidate
    raise SpecError(
        f"{aggregate.name} cannot run over columns of {', '.join(tables)} for each row of {base}",
        None,
        f"columns of one table whose foreign keys lead to {base}",
    )


def _row_tables(expression: Expr, base: str, context: SpecContext) -> list[str]:
    """Tables whose rows an expression reads directly: aggregates inside it stand for a row of the base."""
    tables: list[str] = []
    for node in row_nodes(expression):
        if isinstance(node, ColumnRef):
            tables.append(node.table)
        elif isinstance(node, Aggregate | Exists):
            tables.append(base)
    return tables


def check_spec(spec: QuerySpec, context: SpecContext) -> None:
    """Raise SpecError unless the specification can be compiled."""
    if spec.table not in context.tables:
        raise SpecError(f"no table {spec.table!r}", None, ", ".join(context.tables))
    checker = _Checker(context, (spec.table,))
    for item in spec.show:
        checker.kind(item)
    for condition in spec.where:
        checker.condition(condition)
    for key in spec.sort:
        checker.kind(key.expression)
    for item in spec.limit_per:
        checker.kind(item)
    if spec.limit_per and spec.limit is None:
        raise SpecError("a limit per group without a number", None, "limit N per …")
    for value in (spec.limit, spec.offset):
        if isinstance(value, Placeholder) and not value.name.startswith("N"):
            raise SpecError(f"{value.name} as a limit", None, "a number or an N placeholder")
    if spec.distinct and not spec.show:
        raise SpecError("distinct without columns", None, "show distinct …")


def check_expression(expression: Expr, table: str, context: SpecContext) -> Kind:
    return _Checker(context, (table,)).kind(expression)


def check_condition(condition: Condition, table: str, context: SpecContext) -> None:
    _Checker(context, (table,)).condition(condition)


def kind_of(expression: Expr, bases: tuple[str, ...], context: SpecContext) -> Kind:
    """The kind of a valid expression inside queries over ``bases``, innermost first."""
    return _Checker(context, bases).kind(expression)


class _Checker:
    """Checks within one query; ``bases`` are its table and those around it, innermost first."""

    def __init__(self, context: SpecContext, bases: tuple[str, ...]) -> None:
        self.context = context
        self.bases = bases

    def inside(self, table: str) -> "_Checker":
        return _Checker(self.context, (table, *self.bases))

    # ------------------------------------------------------------ conditions

    def condition(self, condition: Condition) -> None:
        match condition:
            case Compare(operator, left, right):
                self.compare(operator, left, right)
            case InList(argument, values):
                self.in_list(argument, values)
            case InDates(argument, dates):
                self.require(argument, _DATES, "dates")
                if not dates.name.startswith("D"):
                    raise SpecError(f"{dates.name} as dates", None, "a D placeholder")
            case Between(argument, low, high):
                self.compare("<=", low, argument)
                self.compare("<=", argument, high)
            case IsNull(argument):
                self.kind(argument)
            case TextMatch(kind, argument, value):
                self.require(argument, frozenset({"text"}), kind)
                self.require(value, frozenset({"text"}), kind)
                if not isinstance(value, TextLiteral | Placeholder):
                    raise SpecError(f"{kind} needs a text", None, "a literal or a V placeholder")
            case Exists(table, conditions):
                self.exists(table, conditions)
            case Predicate(table, name):
                self.reachable(table, name)
                if not self.context.is_predicate(table, name):
                    raise SpecError(f"{table!r} has no condition {name!r}", None, self.names(table))
            case AnyOf(conditions) | AllOf(conditions):
                for inner in conditions:
                    self.condition(inner)
            case Negation(inner):
                self.condition(inner)

    def exists(self, table: str, conditions: tuple[Condition, ...]) -> None:
        if not self.context.is_descendant(table, self.bases[0]):
            raise SpecError(f"any({table}) for rows of {self.bases[0]}", None, self.descendants())
        inner = self.inside(table)
        for condition in conditions:
            inner.condition(condition)

    def compare(self, operator: str, left: Expr, right: Expr) -> None:
        left_kind, right_kind = self.kind(left), self.kind(right)
        for literal, other, kind in ((left, right, right_kind), (right, left, left_kind)):
            if isinstance(literal, TextLiteral) and kind in _DATES and _ISO_DATE.fullmatch(literal.value):
                return
            if isinstance(literal, TextLiteral):
                self.known_value(other, literal)
        if (
            left_kind != right_kind
            and not {left_kind, right_kind} <= _DATES
            and "other" not in (left_kind, right_kind)
        ):
            raise SpecError(f"a {left_kind} {operator} a {right_kind}", None, "operands of the same kind")

    def in_list(self, argument: Expr, values: tuple[Expr, ...]) -> None:
        for value in values:
            if isinstance(value, Subquery) and len(values) > 1:
                raise SpecError("a list with a subquery", None, "in [SPEC] or in (value, …)")
            if not isinstance(value, Subquery | TextLiteral | NumberLiteral | Placeholder):
                raise SpecError("a list of expressions", None, "literals and placeholders")
            self.compare("=", argument, value)

    def known_value(self, column: Expr, literal: TextLiteral) -> None:
        """A literal compared with an enum column must be one of its labels."""
        if not isinstance(column, ColumnRef):
            return
        stored = self.context.columns.get((column.table, column.column))
        if stored and stored.enum_values and literal.value not in stored.enum_values:
            what = f"{column.table}.{column.column} has no value {literal.value!r}"
            raise SpecError(what, None, ", ".join(stored.enum_values))

    # ------------------------------------------------------------ expressions

    def require(self, expression: Expr, kinds: frozenset[Kind], what: str) -> Kind:
        kind = self.kind(expression)
        if kind not in kinds and kind != "other":
            raise SpecError(f"{what} of a {kind}", None, " or ".join(sorted(kinds)))
        return kind

    def kind(self, expression: Expr) -> Kind:
        """The kind of an expression's value; raises SpecError if it makes no sense."""
        match expression:
            case ColumnRef(table, column):
                return self.column(table, column)
            case NumberLiteral():
                return "number"
            case TextLiteral():
                return "text"
            case Placeholder(name):
                kinds: dict[str, Kind] = {"N": "number", "V": "text", "D": "date"}
                return kinds[name[0]]
            case Today():
                return "date"
            case Arithmetic(operator, left, right):
                return self.arithmetic(operator, self.kind(left), self.kind(right))
            case Aggregate():
                return self.aggregate(expression)
            case Window(name, argument, per):
                return self.window(name, argument, per)
            case DateBucket(part, argument):
                self.require(argument, frozenset({"timestamp"}) if part == "hour" else _DATES, part)
                return "date" if part in {"quarter", "month", "week", "day"} else "number"
            case Bucket(argument, bounds):
                for bound in bounds:
                    if self.kind(bound) != "number" or not isinstance(bound, NumberLiteral | Placeholder):
                        raise SpecError(
                            "a bucket bound that is no number", None, "numbers and N placeholders"
                        )
                self.require(argument, frozenset({"number"}), "bucket")
                return "text"
            case Function(name, arguments):
                return self.function(name, arguments)
            case Flag(condition):
                self.condition(condition)
                return "boolean"
            case Subquery(spec):
                check_spec(spec, self.context)
                if len(spec.show) != 1:
                    raise SpecError(f"a subquery with {len(spec.show)} columns", None, "one item in show")
                return _Checker(self.context, (spec.table,)).kind(spec.show[0])

    def column(self, table: str, column: str) -> Kind:
        self.reachable(table, column)
        if (table, column) in self.context.columns:
            return self.context.column_kind(table, column)
        derived = self.context.derived.get((table, column))
        if derived is None or derived.kind != "value":
            raise SpecError(f"{table!r} has no column {column!r}", None, self.names(table))
        return _SEMANTIC_KINDS.get(derived.semantic or "", "number")

    def arithmetic(self, operator: str, left: Kind, right: Kind) -> Kind:
        if "other" in (left, right) or (left == right == "number"):
            return "number"
        if left in _DATES and right in _DATES and operator == "-":
            return "number"
        if left in _DATES and right == "number" and operator in "+-":
            return "date"
        if left == "number" and right in _DATES and operator == "+":
            return "date"
        raise SpecError(
            f"a {left} {operator} a {right}", None, "numbers, dates apart, or a date and a number of days"
        )

    def aggregate(self, node: Aggregate) -> Kind:
        if node.argument is None and node.name != "count":
            raise SpecError(f"{node.name} without a value", None, f"{node.name}(column)")
        if node.argument is None and node.distinct:
            raise SpecError("distinct without a value", None, "count(distinct column)")
        if isinstance(node.argument, Subquery):
            return self.count_of_spec(node, node.argument)
        inside = walk(node.argument) if node.argument is not None else ()
        if node.by and not any(isinstance(child, Aggregate) for child in inside):
            raise SpecError(f"by in {node.name} of no aggregate", None, "avg(sum(column) by key)")
        table = anchor(node, self.bases[0], self.context)
        if table != self.bases[0] and not self.context.is_descendant(table, self.bases[0]):
            raise SpecError(f"{node.name} over {table} for rows of {self.bases[0]}", None, self.descendants())
        checker = self.inside(table) if table != self.bases[0] else self
        for condition in node.conditions:
            checker.condition(condition)
        for item in (*node.by, *node.per):
            checker.kind(item)
        if table != self.bases[0] and (node.per or node.scope != "group"):
            raise SpecError(
                f"per, overall or all in an aggregate over {table}",
                None,
                f"an aggregate over {self.bases[0]}",
            )
        if node.argument is None:
            return "number"
        kind = checker.kind(node.argument)
        if node.name in {"sum", "avg", "median", "stddev"} and kind not in {"number", "other"}:
            raise SpecError(f"{node.name} of a {kind}", None, "number")
        return kind if node.name in {"min", "max"} else "number"

    def count_of_spec(self, node: Aggregate, argument: Subquery) -> Kind:
        if node.name != "count" or node != Aggregate("count", argument):
            raise SpecError("an aggregate of a subquery", None, "count([SPEC])")
        check_spec(argument.spec, self.context)
        return "number"

    def window(self, name: str, argument: Expr, per: tuple[Expr, ...]) -> Kind:
        for item in per:
            self.kind(item)
        if name in {"running", "growth", "share"}:
            self.require(argument, frozenset({"number"}), name)
            return "number"
        kind = self.kind(argument)
        return kind if name == "previous" else "number"

    def function(self, name: str, arguments: tuple[Expr, ...]) -> Kind:
        kinds = [self.kind(argument) for argument in arguments]
        if name == "abs" and kinds[0] not in {"number", "other"}:
            raise SpecError(f"abs of a {kinds[0]}", None, "number")
        if name == "coalesce" and kinds[0] != kinds[1] and not set(kinds) <= _DATES:
            raise SpecError(f"coalesce of a {kinds[0]} and a {kinds[1]}", None, "values of the same kind")
        return kinds[0]

    # ------------------------------------------------------------ reach

    def reachable(self, table: str, name: str) -> None:
        if any(self.context.reaches(base, table) for base in self.bases):
            return
        what = f"{table}.{name} is out of reach of {self.bases[0]}"
        near = [t for t in self.context.tables if self.context.reaches(self.bases[0], t)]
        raise SpecError(
            what, None, f"columns of {', '.join(near)}; those of {self.descendants()} inside an aggregate"
        )

    def descendants(self) -> str:
        return (
            ", ".join(t for t in self.context.tables if self.context.is_descendant(t, self.bases[0]))
            or "none"
        )

    def names(self, table: str) -> str:
        return ", ".join(self.context.names_of(table))
