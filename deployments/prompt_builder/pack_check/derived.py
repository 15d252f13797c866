"""Derived values and predicates: they parse, depend on no circle, compile, and have a name of their own."""

from collections import Counter
from collections.abc import Iterator

from deployments.prompt_builder.domain import Derived
from deployments.prompt_builder.pack_check.view import Finding, PackView
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.derived import check_derived_name
from deployments.prompt_builder.query_spec.errors import CompileError, SpecError
from deployments.prompt_builder.query_spec.nodes import ColumnRef, Predicate, QuerySpec


def derived(view: PackView) -> Iterator[Finding]:
    """One finding for each derived name that cannot be used."""
    count = Counter((d.table, d.name) for d in view.pack.derived)
    for item in view.pack.derived:
        place = derived_place(item)
        if item.table not in view.pack.tables:
            yield Finding("error", place, f"the pack has no table {item.table!r}")
        elif (item.table, item.name) in view.context.columns:
            yield Finding("error", place, "a stored column has this name")
        elif count[item.table, item.name] > 1:
            yield Finding("error", place, "is defined twice")
        elif item.table in view.context.tables:
            try:
                derived_sql(item, view.context)
            except (SpecError, CompileError) as error:
                yield Finding("error", place, f"{item.expression}: {error}")


def derived_place(item: Derived) -> str:
    return f"derived.{item.table}.{item.name}"


def derived_sql(item: Derived, context: SpecContext) -> str:
    """A statement that shows the value, or the rows that meet the condition.

    Raises:
        SpecError, CompileError: the expression cannot be read or compiled.
    """
    check_derived_name(item.table, item.name, context)
    if item.kind == "value":
        return compile_spec(QuerySpec(item.table, show=(ColumnRef(item.table, item.name),)), (), context)
    return compile_spec(QuerySpec(item.table, where=(Predicate(item.table, item.name),)), (), context)
