"""Small rewritings of conditions that need no schema: order, negation, direction, lists."""

from collections.abc import Iterable, Sequence
from typing import Final

from deployments.prompt_builder.query_spec.nodes import (
    AllOf,
    AnyOf,
    Between,
    ColumnRef,
    Compare,
    Comparison,
    Condition,
    Exists,
    Expr,
    InDates,
    InList,
    IsNull,
    Negation,
    NumberLiteral,
    Placeholder,
    Predicate,
    Subquery,
    TextLiteral,
    Today,
)
from deployments.prompt_builder.query_spec.printer import condition_text, expression_text

_NEGATED: Final[dict[Comparison, Comparison]] = {
    "=": "!=",
    "!=": "=",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
}
_MIRRORED: Final[dict[Comparison, Comparison]] = {
    "=": "=",
    "!=": "!=",
    "<": ">",
    ">": "<",
    "<=": ">=",
    ">=": "<=",
}
_CONSTANTS: Final = (NumberLiteral, TextLiteral, Placeholder, Today, Subquery)


def ordered(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Equalities first, then dates, then the rest: the order of most questions is closest to it."""
    return tuple(sorted(dict.fromkeys(conditions), key=lambda c: (_rank(c), condition_text(c))))


def _rank(condition: Condition) -> int:
    match condition:
        case Compare("=", ColumnRef(), TextLiteral()):
            return 0
        case Predicate() | Negation(Predicate()):
            return 1
        case Compare("=", ColumnRef(), Placeholder()):
            return 2
        case InList() | Compare("!="):
            return 3
        case InDates():
            return 4
    return 5


def flatten(conditions: Iterable[Condition], kind: type[AnyOf] | type[AllOf]) -> list[Condition]:
    """Conditions with nested ones of the same kind spliced in."""
    found: list[Condition] = []
    for condition in conditions:
        if isinstance(condition, kind):
            found.extend(flatten(condition.conditions, kind))
        else:
            found.append(condition)
    return found


def negated(condition: Condition) -> Condition | None:
    """The opposite of a condition where there is a form for it (both are unknown for a NULL)."""
    match condition:
        case Compare(operator, left, right):
            return Compare(_NEGATED[operator], left, right)
        case InList(argument, values, is_negated):
            return InList(argument, values, not is_negated)
        case InDates(argument, dates, "in", is_negated):
            return InDates(argument, dates, "in", not is_negated)
        case IsNull(argument, is_negated):
            return IsNull(argument, not is_negated)
        case Exists(table, conditions, is_negated):
            return Exists(table, conditions, not is_negated)
        case Negation(inner):
            return inner
    return None


def oriented(condition: Compare) -> Compare:
    """Columns to the left, constants to the right; between two of a kind, the order of their texts."""
    if operand_key(condition.left) <= operand_key(condition.right):
        return condition
    return Compare(_MIRRORED[condition.operator], condition.right, condition.left)


def operand_key(expression: Expr) -> tuple[int, str]:
    """Sort key of a comparison's operand."""
    rank = 0 if isinstance(expression, ColumnRef) else 2 if isinstance(expression, _CONSTANTS) else 1
    return rank, expression_text(expression)


def tidy_list(condition: InList) -> Condition:
    """Values sorted and without repetition; a list of one value is a comparison."""
    if isinstance(condition.values[0], Subquery):
        return condition
    values = tuple(sorted(dict.fromkeys(condition.values), key=expression_text))
    if len(values) == 1:
        return Compare("!=" if condition.negated else "=", condition.argument, values[0])
    return InList(condition.argument, values, condition.negated)


def tidy_alternatives(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Alternatives in order; equalities of one column joined into a list."""
    values: dict[Expr, list[Expr]] = {}
    rest: list[Condition] = []
    for condition in conditions:
        match condition:
            case Compare("=", argument, NumberLiteral() | TextLiteral() | Placeholder() as value):
                values.setdefault(argument, []).append(value)
            case InList(argument, listed, False) if not isinstance(listed[0], Subquery):
                values.setdefault(argument, []).extend(listed)
            case _:
                rest.append(condition)
    lists = [tidy_list(InList(argument, tuple(listed))) for argument, listed in values.items()]
    return ordered([*lists, *rest])


def merge_exclusions(conditions: Sequence[Condition]) -> list[Condition]:
    """``x != a and x != b`` is ``x not in (a, b)``."""
    values: dict[Expr, list[Expr]] = {}
    rest: list[Condition] = []
    for condition in conditions:
        match condition:
            case Compare("!=", argument, NumberLiteral() | TextLiteral() | Placeholder() as value):
                values.setdefault(argument, []).append(value)
            case InList(argument, listed, True) if not isinstance(listed[0], Subquery):
                values.setdefault(argument, []).extend(listed)
            case _:
                rest.append(condition)
    return [*rest, *(tidy_list(InList(x, tuple(listed), negated=True)) for x, listed in values.items())]


def merge_ranges(conditions: Sequence[Condition]) -> list[Condition]:
    """``x >= a and x <= b`` with constant bounds is ``x between a and b``."""
    found = list(conditions)
    for low in conditions:
        if not isinstance(low, Compare) or low.operator != ">=" or not isinstance(low.right, _CONSTANTS):
            continue
        for high in conditions:
            if (
                isinstance(high, Compare)
                and high.operator == "<="
                and high.left == low.left
                and isinstance(high.right, _CONSTANTS)
                and low in found
                and high in found
            ):
                found[found.index(low)] = Between(low.left, low.right, high.right)
                found.remove(high)
    return found
