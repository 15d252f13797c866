"""What names mean at a place of a statement: columns and relations by query level."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from deployments.sql_validator.grammar import Node
from deployments.sql_validator.policy import TableRights

# PostgreSQL's own bound of a select list; it stops stars over doubling CTEs from growing without end.
MAX_COLUMNS = 1_664


class Column(NamedTuple):
    """A column of a FROM item. ``table`` is set for columns of tables, ``denied`` if the policy withholds it.

    ``name`` is None where PostgreSQL makes up a name that nobody should rely on. ``origins``: the expressions
    and columns whose values it has, none for a table's own; ``recursion``: the query of the recursive CTE
    that it is a column of.
    """

    name: str | None
    table: str | None = None
    denied: bool = False
    origins: "tuple[Node | Column, ...]" = ()
    recursion: Node | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A FROM item that can be named: table, CTE, subquery or function.

    ``hidden`` names system columns. ``scalar`` is set for functions, whose alias stands for their value;
    ``unknown`` for a table that is not allowed, so that its columns are not reported as well.
    """

    name: str
    columns: tuple[Column, ...]
    hidden: frozenset[str] = frozenset()
    table: str | None = None
    qualified: str | None = None
    scalar: bool = False
    unknown: bool = False

    def matches(self, name: str) -> list[Column]:
        found = [c for c in self.columns if c.name == name]
        if not found and name in self.hidden:
            return [Column(name, self.table, denied=True)]
        return found


@dataclass(frozen=True, slots=True)
class FromItem:
    """What one item of FROM brings into scope.

    ``relations`` answer ``alias.column``, ``columns`` answer bare names and stars (USING merges some of
    them).
    """

    relations: tuple[Relation, ...] = ()
    columns: tuple[Column, ...] = ()

    def matches(self, name: str) -> list[Column]:
        found = [c for c in self.columns if c.name == name]
        if found:
            return found
        return [Column(name, r.table, denied=True) for r in self.relations if name in r.hidden]


def item_of(relation: Relation) -> FromItem:
    return FromItem((relation,), relation.columns)


@dataclass(frozen=True, slots=True)
class Scope:
    """The FROM items of one query level and the level around it."""

    parent: "Scope | None" = None
    items: tuple[FromItem, ...] = ()

    def levels(self) -> "list[Scope]":
        found: list[Scope] = []
        level: Scope | None = self
        while level is not None:
            found.append(level)
            level = level.parent
        return found

    def local(self, name: str) -> list[Column]:
        """Columns of this level that a bare name means; more than one is ambiguous."""
        return [c for item in self.items for c in item.matches(name)]

    def bare(self, name: str) -> list[Column]:
        """Columns that a bare name means, looking outwards level by level."""
        for level in self.levels():
            found = level.local(name)
            if found:
                return found
        return []

    def relations(self, name: str, schema: str | None = None) -> list[Relation]:
        """Relations that a qualifier means, at the innermost level that has any."""
        for level in self.levels():
            found = [
                r
                for item in level.items
                for r in item.relations
                if (r.name == name if schema is None else r.qualified == f"{schema}.{name}")
            ]
            if found:
                return found
        return []

    def all_relations(self) -> list[Relation]:
        return [r for level in self.levels() for item in level.items for r in item.relations]


@dataclass(frozen=True, slots=True)
class Ctes:
    """Common table expressions in sight. A name that is still being defined maps to None."""

    parent: "Ctes | None" = None
    named: Mapping[str, tuple[Column, ...] | None] = field(default_factory=dict)

    def find(self, name: str) -> "tuple[bool, tuple[Column, ...] | None]":
        """Whether a CTE has the name, and its columns."""
        level: Ctes | None = self
        while level is not None:
            if name in level.named:
                return True, level.named[name]
            level = level.parent
        return False, None

    def names(self) -> list[str]:
        own = list(self.named)
        return own + (self.parent.names() if self.parent else [])


def table_relation(rights: TableRights, alias: str, qualified: str | None) -> Relation:
    """A table under the name it has in the query. ``qualified`` is schema.table where no alias hides it."""
    return Relation(
        name=alias,
        columns=tuple(Column(c, rights.name, c in rights.denied) for c in rights.columns),
        hidden=rights.denied - set(rights.columns),
        table=rights.name,
        qualified=qualified,
    )


def renamed(columns: tuple[Column, ...], names: tuple[str, ...]) -> tuple[Column, ...]:
    """Columns under the names of an alias list, which may be shorter."""
    return tuple(Column(names[i], origins=(c,)) if i < len(names) else c for i, c in enumerate(columns))


def united(left: tuple[Column, ...], right: tuple[Column, ...]) -> tuple[Column, ...]:
    """Columns of a set operation: the names of the left side, the values of both."""
    return tuple(Column(c.name, origins=(c, *right[i : i + 1])) for i, c in enumerate(left))
