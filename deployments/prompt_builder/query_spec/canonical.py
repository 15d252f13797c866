"""One way to say each thing: equal meanings get equal specifications, and a model's target holds no chance.

Conditions, lists and commutative operands are sorted; negations are pushed inwards; comparisons face one way;
what the domain pack has a name for is called by that name; a count compared with zero is any or no; what the
result shows anyway is not asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from deployments.prompt_builder.query_spec.canonical_conditions import (
    flatten,
    merge_exclusions,
    merge_ranges,
    negated,
    ordered,
    oriented,
    tidy_alternatives,
    tidy_list,
)
from deployments.prompt_builder.query_spec.check import anchor
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.derived import derived_conditions, derived_value
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AllOf,
    AnyOf,
    Arithmetic,
    Cannot,
    ColumnRef,
    Compare,
    Condition,
    DateBucket,
    Exists,
    Expr,
    Flag,
    InList,
    Negation,
    NumberLiteral,
    Placeholder,
    Predicate,
    QuerySpec,
    SortKey,
    Subquery,
)
from deployments.prompt_builder.query_spec.printer import expression_text
from deployments.prompt_builder.query_spec.shape import display_items, implied_items, is_grouped
from deployments.prompt_builder.query_spec.walk import rebuild, walk

# A count compared with one of these says that there are no rows, or that there are some.
_NONE: Final = (("=", "0"), ("<=", "0"), ("<", "1"))
_SOME: Final = (("!=", "0"), (">", "0"), (">=", "1"))


def canonical(spec: QuerySpec | Cannot, context: SpecContext) -> QuerySpec | Cannot:
    """The canonical form of a valid specification; applying it twice changes nothing."""
    if isinstance(spec, Cannot):
        return spec
    return _Canonical(context, _names(context)).spec(spec)


@dataclass(frozen=True)
class _Names:
    """Derived names by what they spell out; the owner is None if any table may spell it."""

    values: dict[tuple[str | None, Expr], ColumnRef] = field(default_factory=dict)
    predicates: dict[tuple[str | None, frozenset[Condition]], Predicate] = field(default_factory=dict)


class _Canonical:
    """Rewrites bottom-up. ``base`` is the table whose rows the nodes at hand are read for."""

    def __init__(self, context: SpecContext, names: "_Names") -> None:
        self.context = context
        self.names = names

    # query

    def spec(self, spec: QuerySpec) -> QuerySpec:
        base = spec.table
        show = self.items(spec.show, base)
        done = QuerySpec(
            base,
            show,
            spec.distinct,
            self.conjunction(spec.where, base),
            self.sort(spec, show),
            self.limit(spec.limit),
            self.items(spec.limit_per, base),
            self.limit(spec.offset),
        )
        if done.distinct and is_grouped(done, self.context):
            done = replace(done, distinct=False)
        return self.without_implied(done)

    def items(self, expressions: tuple[Expr, ...], base: str) -> tuple[Expr, ...]:
        return tuple(dict.fromkeys(self.expression(item, base) for item in expressions))

    def sort(self, spec: QuerySpec, show: tuple[Expr, ...]) -> tuple[SortKey, ...]:
        """The sort keys, without an ascending date bucket that orders the result anyway."""
        keys: dict[Expr, bool] = {}
        for key in spec.sort:
            keys.setdefault(self.expression(key.expression, spec.table), key.descending)
        sort = tuple(SortKey(expression, descending) for expression, descending in keys.items())
        bucket = next((item for item in show if isinstance(item, DateBucket)), None)
        if bucket is not None and sort == (SortKey(bucket, False),) and spec.limit is None:
            return ()
        return sort

    def without_implied(self, spec: QuerySpec) -> QuerySpec:
        """The specification without items in last place that the result shows anyway."""
        if spec.show == display_items(spec.table, self.context) and not spec.distinct:
            return replace(spec, show=())
        if len(spec.show) > 1:
            shorter = replace(spec, show=spec.show[:-1])
            same_kind = is_grouped(shorter, self.context) == is_grouped(spec, self.context)
            if same_kind and spec.show[-1] in implied_items(shorter, self.context):
                return self.without_implied(shorter)
        return spec

    def limit(self, limit: NumberLiteral | Placeholder | None) -> NumberLiteral | Placeholder | None:
        return _number(limit) if isinstance(limit, NumberLiteral) else limit

    # expressions

    def expression(self, expression: Expr, base: str) -> Expr:
        return self.named(self.unnamed(expression, base), base)

    def unnamed(self, expression: Expr, base: str) -> Expr:
        """The expression in canonical form, its parts named but not itself."""
        match expression:
            case Aggregate():
                return self.aggregate(expression, base)
            case Subquery(spec):
                return Subquery(self.spec(spec))
            case Flag(condition):
                return Flag(self.condition(condition, base))
            case NumberLiteral():
                return _number(expression)
        done: Expr = rebuild(expression, lambda child: self.expression(child, base))
        if isinstance(done, Arithmetic) and done.operator in "+*":
            left, right = sorted((done.left, done.right), key=_operand_key)
            return Arithmetic(done.operator, left, right)
        return done

    def named(self, expression: Expr, base: str) -> Expr:
        """The derived value that the expression spells out, if there is one."""
        return (
            self.names.values.get((base, expression))
            or self.names.values.get((None, expression))
            or expression
        )

    def aggregate(self, node: Aggregate, base: str) -> Aggregate:
        table = base if isinstance(node.argument, Subquery) else anchor(node, base, self.context)
        argument = None if node.argument is None else self.expression(node.argument, table)
        counted = node.table
        if node.name == "count" and not node.distinct and self.is_key(argument, table):
            argument, counted = None, None if table == base else table
        by = tuple(sorted(self.items(node.by, table), key=expression_text))
        per = tuple(sorted(self.items(node.per, table), key=expression_text))
        conditions = self.conjunction(node.conditions, table)
        return Aggregate(node.name, argument, counted, node.distinct, conditions, by, per, node.scope)

    def is_key(self, argument: Expr | None, table: str) -> bool:
        """True for the primary key of the table that is counted: counting it is counting rows."""
        if not isinstance(argument, ColumnRef) or argument.table != table:
            return False
        return self.context.tables[table].primary_key == (argument.column,)

    # conditions

    def conjunction(self, conditions: tuple[Condition, ...], base: str) -> tuple[Condition, ...]:
        done = [self.condition(condition, base) for condition in conditions]
        merged = merge_exclusions(merge_ranges(flatten(done, AllOf)))
        return ordered(self.predicates(tuple(dict.fromkeys(merged)), base))

    def predicates(self, conditions: tuple[Condition, ...], base: str) -> tuple[Condition, ...]:
        """Conditions that together spell out a predicate are replaced by it."""
        for (owner, parts), predicate in self.names.predicates.items():
            if owner in (None, base) and len(parts) > 1 and parts <= set(conditions):
                conditions = (predicate, *(c for c in conditions if c not in parts))
        return conditions

    def condition(self, condition: Condition, base: str) -> Condition:
        done = self.unnamed_condition(condition, base)
        if isinstance(done, Negation) and isinstance(done.condition, Predicate):
            return self.negated_predicate(done.condition, base)
        return self.named_condition(done, base) or done

    def named_condition(self, condition: Condition, base: str) -> Condition | None:
        """The predicate, or the negated predicate, that a single condition spells out."""
        parts = tuple(condition.conditions) if isinstance(condition, AllOf) else (condition,)
        if len(parts) > 1:
            found = self.predicates(parts, base)
            return found[0] if len(found) == 1 else None
        for owner in (base, None):
            if predicate := self.names.predicates.get((owner, frozenset(parts))):
                return predicate
        opposite = negated(condition)
        if opposite is not None and not isinstance(condition, Predicate | Negation):
            for owner in (base, None):
                if predicate := self.names.predicates.get((owner, frozenset([opposite]))):
                    return Negation(predicate)
        return None

    def negated_predicate(self, predicate: Predicate, base: str) -> Condition:
        """Not lapsed is still valid, where the pack has a name for the opposite."""
        for (owner, parts), known in self.names.predicates.items():
            if known == predicate and len(parts) == 1:
                opposite = negated(next(iter(parts)))
                if opposite is not None and (owner, frozenset([opposite])) in self.names.predicates:
                    return self.names.predicates[owner, frozenset([opposite])]
        return Negation(predicate)

    def unnamed_condition(self, condition: Condition, base: str) -> Condition:
        match condition:
            case Negation(inner):
                return self.negation(inner, base)
            case AnyOf(conditions):
                return self.any_of([self.condition(c, base) for c in conditions])
            case AllOf(conditions):
                found = self.conjunction(conditions, base)
                return found[0] if len(found) == 1 else AllOf(found)
            case Exists(table, conditions, is_negated):
                return Exists(table, self.conjunction(conditions, table), is_negated)
        done: Any = rebuild(condition, lambda child: self.expression(child, base))
        if isinstance(done, Compare):
            return self.compare(done, base)
        return tidy_list(done) if isinstance(done, InList) else done

    def negation(self, inner: Condition, base: str) -> Condition:
        match inner:
            case AnyOf(conditions):
                return self.condition(AllOf(tuple(map(Negation, conditions))), base)
            case AllOf(conditions):
                return self.condition(AnyOf(tuple(map(Negation, conditions))), base)
            case Negation(condition):
                return self.unnamed_condition(condition, base)
        done = self.unnamed_condition(inner, base)
        if isinstance(done, Negation | AnyOf | AllOf):
            return self.negation(done, base)
        return negated(done) or Negation(done)

    def any_of(self, conditions: list[Condition]) -> Condition:
        found = tidy_alternatives(flatten(conditions, AnyOf))
        return found[0] if len(found) == 1 else AnyOf(found)

    def compare(self, condition: Compare, base: str) -> Condition:
        done = oriented(condition)
        count, bound = done.left, done.right
        if not isinstance(count, Aggregate) or not isinstance(bound, NumberLiteral):
            return done
        if count.name != "count" or count.table in (None, base) or count.by:
            return done
        if (done.operator, bound.text) in (*_NONE, *_SOME):
            return Exists(count.table or base, count.conditions, (done.operator, bound.text) in _NONE)
        return done


def _names(context: SpecContext) -> _Names:
    """The pack's names in order: a later one may be spelled with an earlier one; the first of equals wins."""
    cached = context.canonical_names.get("names")
    if isinstance(cached, _Names):
        return cached
    names = context.canonical_names["names"] = _Names()
    rewriter = _Canonical(context, names)
    for (table, name), derived in context.derived.items():
        if derived.kind == "value":
            value = derived_value(table, name, context)
            if value is not None:
                spelled = rewriter.unnamed(value, table)
                names.values.setdefault((_owner([spelled], table), spelled), ColumnRef(table, name))
        else:
            spelled_out = [
                rewriter.unnamed_condition(c, table) for c in derived_conditions(table, name, context)
            ]
            parts = frozenset(merge_ranges(spelled_out))
            names.predicates.setdefault((_owner(parts, table), parts), Predicate(table, name))
    return names


def _owner(nodes: Iterable[Expr | Condition], table: str) -> str | None:
    """The table if the nodes mean something else when read for rows of another table: if they aggregate."""
    aggregates = any(isinstance(part, Aggregate | Exists) for node in nodes for part in walk(node))
    return table if aggregates else None


def _number(number: NumberLiteral) -> NumberLiteral:
    value = Decimal(number.text).normalize()
    return NumberLiteral(f"{value:f}")


def _operand_key(expression: Expr) -> tuple[bool, str]:
    """Numbers before columns in sums and products."""
    return not isinstance(expression, NumberLiteral | Placeholder), expression_text(expression)
