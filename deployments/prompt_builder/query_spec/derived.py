"""Named values and predicates of the domain pack, as specification nodes."""

from collections.abc import Iterator

from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import ColumnRef, Condition, Expr, Predicate
from deployments.prompt_builder.query_spec.parser import parse_conditions, parse_expression
from deployments.prompt_builder.query_spec.walk import walk


def derived_value(table: str, name: str, context: SpecContext) -> Expr | None:
    """What a derived value stands for; None if the name is a stored column."""
    found = context.derived.get((table, name))
    if found is None or found.kind != "value" or (table, name) in context.columns:
        return None
    return _parsed(table, name, context)[0]  # type: ignore[return-value]  # a value holds one expression


def derived_conditions(table: str, name: str, context: SpecContext) -> tuple[Condition, ...]:
    """The conditions that a predicate stands for."""
    return _parsed(table, name, context)  # type: ignore[return-value]  # a predicate holds conditions


def _parsed(table: str, name: str, context: SpecContext) -> tuple[Expr | Condition, ...]:
    cache = context.parsed_derived
    if (table, name) not in cache:
        found = context.derived.get((table, name))
        if found is None:
            raise SpecError(f"{table!r} has no derived {name!r}", None, ", ".join(context.names_of(table)))
        if found.kind == "value":
            cache[table, name] = (parse_expression(found.expression, table, context),)
        else:
            cache[table, name] = parse_conditions(found.expression, table, context)
    return cache[table, name]


def check_derived(context: SpecContext) -> None:
    """Read every derived name of the domain pack.

    Raises:
        SpecError: one that cannot be read over the live schema, or that is defined by itself.
    """
    for table, name in context.derived:
        check_derived_name(table, name, context)


def check_derived_name(table: str, name: str, context: SpecContext) -> None:
    """Read one derived name with all that it is made of; raises SpecError as `check_derived`."""
    _check_acyclic(table, name, context, ())


def _check_acyclic(table: str, name: str, context: SpecContext, seen: tuple[tuple[str, str], ...]) -> None:
    if (table, name) in seen:
        raise SpecError(f"{table}.{name} is defined by itself", None, "an expression without a cycle")
    for used in _used(_parsed(table, name, context)):
        if used in context.derived and used not in context.columns:
            _check_acyclic(*used, context, (*seen, (table, name)))


def _used(nodes: tuple[Expr | Condition, ...]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        for part in walk(node):
            if isinstance(part, ColumnRef):
                yield part.table, part.column
            elif isinstance(part, Predicate):
                yield part.table, part.name
