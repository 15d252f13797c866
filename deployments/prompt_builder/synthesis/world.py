"""What the synthesizer knows of a schema: tables, their kin, and columns by the role people give them."""

from dataclasses import dataclass, field

from deployments.prompt_builder.domain import Derived, DomainPack, TableTerms
from deployments.prompt_builder.query_spec.nodes import ColumnRef
from serve_app.contracts import Column, SchemaSnapshot, Table


@dataclass(frozen=True, slots=True)
class Field:
    """A column with its role in the pack; ``date_only`` marks DATE columns (differences of them are days)."""

    table: str
    name: str
    role: str
    semantic: str
    nullable: bool
    values: tuple[str, ...]
    date_only: bool

    @property
    def ref(self) -> ColumnRef:
        return ColumnRef(self.table, self.name)

    @property
    def key(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table of the world. ``ancestors`` are reachable over foreign keys, nearest first; ``children`` lead
    here over any number of steps; ``optional_keys``: parent -> nullable foreign key column."""

    name: str
    terms: TableTerms
    fields: dict[str, Field]
    values: tuple[Derived, ...]
    predicates: tuple[Derived, ...]
    ancestors: tuple[str, ...]
    parents: tuple[str, ...]
    children: tuple[str, ...]
    optional_keys: dict[str, str]

    def of_role(self, *roles: str) -> tuple[Field, ...]:
        return tuple(f for f in self.fields.values() if f.role in roles)

    @property
    def date(self) -> str | None:
        return self.terms.date

    @property
    def label(self) -> str | None:
        return self.terms.label


@dataclass(slots=True)
class World:
    """All tables that the pack names and the schema has."""

    schema: SchemaSnapshot
    pack: DomainPack
    tables: dict[str, TableInfo] = field(default_factory=dict)

    def field(self, table: str, column: str) -> Field | None:
        info = self.tables.get(table)
        return info.fields.get(column) if info else None

    def kin(self, table: str) -> tuple[str, ...]:
        """The table and its ancestors."""
        return (table, *self.tables[table].ancestors)


def build_world(schema: SchemaSnapshot, pack: DomainPack) -> World:
    """Join schema and pack; tables and columns without terms are left out."""
    world = World(schema, pack)
    known = {t.name: t for t in schema.tables if t.name in pack.tables}
    parents = {
        name: tuple(dict.fromkeys(k.referenced_table for k in t.foreign_keys if k.referenced_table in known))
        for name, t in known.items()
    }
    for name, table in known.items():
        world.tables[name] = _table_info(table, pack, parents)
    return world


def _table_info(table: Table, pack: DomainPack, parents: dict[str, tuple[str, ...]]) -> TableInfo:
    name = table.name
    terms = pack.tables[name]
    fields = {c: _field(table, column, terms) for c in terms.columns if (column := table.column(c))}
    derived = [d for d in pack.derived if d.table == name]
    nullable = {c.name for c in table.columns if c.nullable}
    return TableInfo(
        name=name,
        terms=terms,
        fields=fields,
        values=tuple(d for d in derived if d.kind == "value"),
        predicates=tuple(d for d in derived if d.kind == "predicate"),
        ancestors=_ancestors(name, parents),
        parents=parents[name],
        children=tuple(other for other in parents if other != name and name in _ancestors(other, parents)),
        optional_keys={
            k.referenced_table: k.columns[0]
            for k in table.foreign_keys
            if len(k.columns) == 1 and set(k.columns) & nullable
        },
    )


def _ancestors(name: str, parents: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Breadth first: a table reached over two paths counts by its shortest, as the compiler joins it."""
    found: dict[str, None] = {}
    frontier = [name]
    while frontier:
        following = [p for t in frontier for p in parents[t] if p not in found and p != name]
        found.update(dict.fromkeys(following))
        frontier = list(dict.fromkeys(following))
    return tuple(found)


def _field(table: Table, column: Column, terms: TableTerms) -> Field:
    words = terms.columns[column.name]
    values = column.enum_values or tuple(words.values) or column.sample_values
    if words.role == "name":
        values = column.sample_values
    kind = column.type.lower()
    return Field(
        table=table.name,
        name=column.name,
        role=words.role,
        semantic=words.semantic or ("date" if words.role == "date" else "text"),
        nullable=column.nullable,
        values=values,
        date_only=kind == "date",
    )
