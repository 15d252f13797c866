"""From a live schema to a domain pack that a person goes on from."""

from collections.abc import Mapping
from dataclasses import dataclass

from deployments.prompt_builder.domain import DomainPack, TableTerms
from deployments.prompt_builder.drafting.derived import Suggestion, suggest
from deployments.prompt_builder.drafting.hints import DraftingHints
from deployments.prompt_builder.drafting.roles import ColumnGuess, Statistics, guess_column
from deployments.prompt_builder.drafting.tables import table_terms
from serve_app.contracts import ForeignKey, SchemaSnapshot, Table


@dataclass(frozen=True, slots=True)
class Draft:
    """A pack, the guesses behind it by table, what else suggests itself, and what was left out with why."""

    pack: DomainPack
    schema: SchemaSnapshot
    guesses: Mapping[str, tuple[ColumnGuess, ...]]
    suggestions: tuple[Suggestion, ...]
    left_out: Mapping[str, str]


def draft_pack(schema: SchemaSnapshot, statistics: Statistics, name: str) -> Draft:
    """Guess a pack for every table of the schema that people may ask about.

    ``statistics`` may be empty: keys, types, names and the snapshot's own values then decide alone.
    """
    hints = DraftingHints.load()
    left_out = {t.name: why for t in schema.tables if (why := _reason_to_leave(t, hints))}
    kept = [t for t in schema.tables if t.name not in left_out]
    guesses = {
        table.name: tuple(
            guess_column(table, column, statistics.get((table.name, column.name)), hints)
            for column in table.columns
        )
        for table in kept
    }
    terms = {t.name: table_terms(t, guesses[t.name], kept, statistics, hints) for t in kept}
    tables = {t.name: _with_parents(t, terms) for t in kept}
    pack = DomainPack(name=name, description=_description(kept), tables=tables)
    return Draft(pack, schema, guesses, suggest(schema, guesses, tables, hints), left_out)


def _reason_to_leave(table: Table, hints: DraftingHints) -> str | None:
    if table.name.lower() in hints.ignored_tables:
        return "a table of a tool"
    return None if table.columns else "no column can be read"


def _with_parents(table: Table, terms: Mapping[str, TableTerms]) -> TableTerms:
    """The table's terms with the names of its parents shown."""
    own = terms[table.name]
    labels = [
        f"{key.referenced_table}.{label}"
        for key in _first_keys(table)
        if key.referenced_table in terms and (label := terms[key.referenced_table].label)
    ]
    plain = own.display if own.display != (table.columns[0].name,) or not labels else ()
    return own.model_copy(update={"display": (*plain, *labels)})


def _first_keys(table: Table) -> list[ForeignKey]:
    """One foreign key for each parent, without those to the table itself."""
    found: dict[str, ForeignKey] = {}
    for key in table.foreign_keys:
        if key.referenced_table != table.name:
            found.setdefault(key.referenced_table, key)
    return list(found.values())


def _description(tables: list[Table]) -> str:
    names = [table.name.replace("_", " ") for table in tables]
    return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")
