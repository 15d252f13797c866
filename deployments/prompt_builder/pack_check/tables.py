"""Tables, columns and roles against the schema; what stands out in a table."""

from collections.abc import Iterator

from deployments.prompt_builder.domain import TableTerms
from deployments.prompt_builder.pack_check.view import Finding, PackView, column_place, listed
from deployments.prompt_builder.query_spec.context import Kind

# What a column of a role may hold; roles that are not here take anything.
_KINDS: dict[str, frozenset[Kind]] = {
    "measure": frozenset({"number"}),
    "date": frozenset({"date", "timestamp"}),
    "name": frozenset({"text"}),
    "lookup": frozenset({"text"}),
}
# Of these, nobody asks by name.
_UNSAID_ROLES = frozenset({"id", "text"})


def tables_and_columns(view: PackView) -> Iterator[Finding]:
    """Names that the other side lacks."""
    for name, terms in view.pack.tables.items():
        table = view.context.tables.get(name)
        if table is None:
            yield Finding(
                "error", f"tables.{name}", "the database has no such table, or the role may not read it"
            )
            continue
        for column in terms.columns:
            if table.column(column) is None:
                near = listed([c.name for c in table.columns if c.name not in terms.columns]) or "none"
                problem = f"the table has no such column; columns without terms: {near}"
                yield Finding("error", column_place(name, column), problem)
        keys = {c for key in table.foreign_keys for c in key.columns} | set(table.primary_key)
        absent = [c.name for c in table.columns if c.name not in terms.columns and c.name not in keys]
        if absent:
            yield Finding("warning", f"tables.{name}", f"nobody can ask about its columns {listed(absent)}")
    absent = [name for name in view.context.tables if name not in view.pack.tables]
    if absent:
        yield Finding("warning", "tables", f"nobody can ask about the tables {listed(absent)}")


def roles(view: PackView) -> Iterator[Finding]:
    """Roles that the column's type cannot play, and columns that have no words."""
    for table, name, terms, _ in view.stored():
        kind = view.context.column_kind(table, name)
        place = column_place(table, name)
        allowed = _KINDS.get(terms.role)
        if allowed is not None and kind not in allowed:
            stored = view.context.columns[table, name].type
            yield Finding("error", place, f"is a {terms.role}, but its type is {stored}")
        if not terms.terms and terms.role not in _UNSAID_ROLES:
            yield Finding("warning", place, "has no terms; it is only known by its name")
        if kind == "boolean" and terms.role == "attribute":
            yield Finding("note", place, "yes/no columns can be shown, but not asked for")


def main_columns(view: PackView) -> Iterator[Finding]:
    """``label``, ``date`` and ``measure``: there, of the right role, or missing though there is a choice."""
    for name, terms in view.pack.tables.items():
        if name not in view.context.tables:
            continue
        values = {d.name for d in view.pack.derived if d.table == name and d.kind == "value"}
        for key, chosen, allowed in _choices(terms):
            place = f"tables.{name}.{key}"
            options = [c for c, t in terms.columns.items() if t.role in allowed]
            if chosen is None:
                if options:
                    yield Finding("warning", place, f"is not set; it could be {listed(options)}")
            elif (name, chosen) not in view.context.columns and not (key == "measure" and chosen in values):
                yield Finding("error", place, f"there is no column {chosen!r}")
            elif chosen in terms.columns and terms.columns[chosen].role not in allowed:
                role = terms.columns[chosen].role
                yield Finding("error", place, f"{chosen!r} is a {role}, not a {' or '.join(allowed)}")


def _choices(terms: TableTerms) -> tuple[tuple[str, str | None, tuple[str, ...]], ...]:
    return (
        ("label", terms.label, ("name", "text")),
        ("date", terms.date, ("date",)),
        ("measure", terms.measure, ("measure",)),
    )


def display(view: PackView) -> Iterator[Finding]:
    """Shown columns: stored or derived ones, or those of a table that a foreign key leads to."""
    for name, terms in view.pack.tables.items():
        if name not in view.context.tables:
            continue
        for item in terms.display:
            table, _, column = item.rpartition(".")
            owner = table or name
            if not view.context.is_value(owner, column):
                yield Finding("error", f"tables.{name}.display", f"there is no {item!r}")
            elif not view.context.reaches(name, owner):
                yield Finding(
                    "error", f"tables.{name}.display", f"no foreign key leads from {name} to {owner}"
                )
