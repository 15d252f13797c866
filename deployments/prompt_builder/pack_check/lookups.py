"""Values of the pack against those of the database."""

from collections.abc import Iterator

from deployments.prompt_builder.domain import ColumnTerms
from deployments.prompt_builder.pack_check.view import Finding, PackView, column_place, listed
from serve_app.contracts import Column


def values(view: PackView) -> Iterator[Finding]:
    """Words for values that are not there, values that have no words, and lookups of which none is known."""
    for table, name, terms, column in view.stored():
        place = column_place(table, name)
        if terms.role == "lookup":
            yield from _lookup(place, terms, column)
            if not view.context.lookup_values(table, name):
                problem = "is a lookup without a value: list its values, or make it a name"
                yield Finding("error", place, problem)
        elif terms.values and column.values_complete:
            absent = [value for value in terms.values if value not in column.sample_values]
            if absent:
                yield Finding("warning", place, f"no row holds {listed(absent)}")


def _lookup(place: str, terms: ColumnTerms, column: Column) -> Iterator[Finding]:
    known = column.enum_values or (column.sample_values if column.values_complete else ())
    if not known:
        return
    absent = [value for value in terms.values if value not in known]
    if absent and column.enum_values:
        yield Finding("error", place, f"the enum type has no {listed(absent)}")
    elif absent:
        yield Finding("warning", place, f"no row holds {listed(absent)}")
    unsaid = [value for value in known if value not in terms.values]
    if unsaid and terms.values:
        yield Finding("warning", place, f"the database has {listed(unsaid)}, which the pack has no words for")
