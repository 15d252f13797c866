"""Specification to model tokens."""

from collections.abc import Iterable
from typing import Final

from deployments.prompt_builder.query_spec.errors import SpecError
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
    Subquery,
    TextLiteral,
    TextMatch,
    Today,
    Window,
)
from deployments.prompt_builder.query_spec.token_words import (
    COMPARISONS,
    NUMBERS,
    OPERATORS,
    PLACEHOLDERS,
    column_token,
    lookup_token,
    table_token,
    token,
)

_CLOSE: Final = token("close")
# After an aggregate or EXISTS that may go on, these would be read as its continuation.
_CONTINUES: Final = frozenset(
    map(token, ("if", "by", "per", "overall", "all", "of", "distinct", "begin", "close"))
)


def write_tokens(spec: QuerySpec | Cannot) -> list[str]:
    """Tokens of a canonical specification.

    Raises:
        SpecError: a literal that the vocabulary lacks and that must be a placeholder instead.
    """
    if isinstance(spec, Cannot):
        return [token("cannot")]
    kept: list[str] = []
    for word in reversed(list(_spec(spec))):
        if word != _CLOSE or (kept and kept[-1] in _CONTINUES):
            kept.append(word)
    return kept[::-1]


def _spec(spec: QuerySpec) -> Iterable[str]:
    yield table_token(spec.table)
    if spec.distinct:
        yield token("distinct")
    for item in spec.show:
        yield from _expression(item)
    if spec.where:
        yield token("where")
        for condition in spec.where:
            yield from _condition(condition)
    for key in spec.sort:
        yield token("desc" if key.descending else "asc")
        yield from _expression(key.expression)
    if spec.limit is not None:
        yield token("limit")
        yield from _expression(spec.limit)
        yield from _modifiers("per", spec.limit_per)
    if spec.offset is not None:
        yield token("offset")
        yield from _expression(spec.offset)


def _modifiers(word: str, expressions: tuple[Expr, ...]) -> Iterable[str]:
    for expression in expressions:
        yield token(word)
        yield from _expression(expression)


def _ifs(conditions: tuple[Condition, ...]) -> Iterable[str]:
    for condition in conditions:
        yield token("if")
        yield from _condition(condition)


def _expression(expression: Expr) -> Iterable[str]:
    match expression:
        case ColumnRef(table, column):
            yield column_token(table, column)
        case NumberLiteral(text):
            if text not in NUMBERS:
                raise SpecError(f"the number {text} is not in the vocabulary", None, "an N placeholder")
            yield token(text)
        case TextLiteral(value):
            raise SpecError(f"the text {value!r} is not in the vocabulary", None, "a V placeholder")
        case Placeholder(name):
            if name not in PLACEHOLDERS:
                raise SpecError(
                    f"the placeholder {name} is not in the vocabulary", None, ", ".join(PLACEHOLDERS)
                )
            yield token(name)
        case Today():
            yield token("today")
        case Arithmetic(operator, left, right):
            yield token(OPERATORS[operator])
            yield from _expression(left)
            yield from _expression(right)
        case Aggregate():
            yield from _aggregate(expression)
        case Window(name, argument, per):
            yield token(name)
            yield from _modifiers("per", per)
            yield from _expression(argument)
        case DateBucket(part, argument):
            yield token(part)
            yield from _expression(argument)
        case Bucket(argument, bounds):
            yield token("bucket")
            yield from _expression(argument)
            for bound in bounds:
                yield from _expression(bound)
            yield token("end")
        case Function(name, arguments):
            yield token(name)
            for argument in arguments:
                yield from _expression(argument)
        case Flag(condition):
            yield token("flag")
            yield from _condition(condition)
        case Subquery(spec):
            yield token("begin")
            yield from _spec(spec)
            yield token("end")


def _aggregate(node: Aggregate) -> Iterable[str]:
    """Name, then a counted table, the modifiers, and last the argument."""
    yield token(node.name)
    if node.distinct:
        yield token("distinct")
    if node.table is not None:
        yield table_token(node.table)
    yield from _ifs(node.conditions)
    yield from _modifiers("by", node.by)
    yield from _modifiers("per", node.per)
    if node.scope != "group":
        yield token(node.scope)
    if node.argument is None:
        yield _CLOSE
    else:
        if node.name == "count" and not node.distinct and not isinstance(node.argument, Subquery):
            yield token("of")
        yield from _expression(node.argument)


def _condition(condition: Condition) -> Iterable[str]:
    match condition:
        case Compare("!=", left, right):
            yield token("not")
            yield from _condition(Compare("=", left, right))
        case Compare("=", ColumnRef(table, column), TextLiteral(value)):
            yield lookup_token(table, column, value)
        case Compare("=", ColumnRef() as left, Placeholder() as right):
            yield from _expression(left)
            yield from _expression(right)
        case Compare(operator, left, right):
            yield token(COMPARISONS[operator])
            yield from _expression(left)
            yield from _expression(right)
        case InList(argument, (Subquery() as values,), negated):
            yield from [token("not")] if negated else []
            yield token("in")
            yield from _expression(argument)
            yield from _expression(values)
        case InList(argument, values, negated):
            yield from [token("not")] if negated else []
            yield from _joined("or", tuple(Compare("=", argument, value) for value in values))
        case InDates(argument, dates, relation, negated):
            yield from [token("not")] if negated else []
            if relation != "in" or not isinstance(argument, ColumnRef):
                yield token(relation)
            yield from _expression(argument)
            yield from _expression(dates)
        case Between(argument, low, high):
            yield token("between")
            for operand in (argument, low, high):
                yield from _expression(operand)
        case IsNull(argument, negated):
            yield from [token("not")] if negated else []
            yield token("null")
            yield from _expression(argument)
        case TextMatch(kind, argument, value):
            yield token(kind)
            yield from _expression(argument)
            yield from _expression(value)
        case Exists(table, conditions, negated):
            yield token("no" if negated else "any")
            yield table_token(table)
            yield from _ifs(conditions)
            yield _CLOSE
        case Predicate(table, name):
            yield column_token(table, name)
        case AnyOf(conditions):
            yield from _joined("or", conditions)
        case AllOf(conditions):
            yield from _joined("and", conditions)
        case Negation(inner):
            yield token("not")
            yield from _condition(inner)


def _joined(word: str, conditions: tuple[Condition, ...]) -> Iterable[str]:
    for condition in conditions[:-1]:
        yield token(word)
        yield from _condition(condition)
    yield from _condition(conditions[-1])
