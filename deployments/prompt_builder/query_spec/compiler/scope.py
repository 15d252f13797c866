"""The FROM clause of one SELECT: which tables are joined under which names, and how columns are written."""

from dataclasses import dataclass, field

from deployments.prompt_builder.query_spec.compiler.sql import Sql, identifier
from deployments.prompt_builder.query_spec.context import SpecContext, Step
from deployments.prompt_builder.query_spec.errors import CompileError


@dataclass
class Aliases:
    """Names of tables in one statement: the table's own name first, then name_2, name_3 …"""

    used: dict[str, int] = field(default_factory=dict)

    def take(self, table: str) -> str:
        count = self.used[table] = self.used.get(table, 0) + 1
        return table if count == 1 else f"{table}_{count}"

    @property
    def total(self) -> int:
        return sum(self.used.values())


@dataclass
class _Join:
    """A many-to-one join. ``required`` makes it an inner join although the key may be NULL."""

    alias: str
    step: Step
    from_table: str
    optional: bool
    required: bool = False


class Scope:
    """Columns within reach of one SELECT; a column of an outer row is found in ``outer``."""

    def __init__(
        self,
        context: SpecContext,
        aliases: Aliases,
        table: str,
        qualified: bool,
        outer: "Scope | None" = None,
    ) -> None:
        self.context = context
        self.aliases = aliases
        self.table = table
        self.qualified = qualified
        self.outer = outer
        self.alias = aliases.take(table)
        self._joins: dict[str, _Join] = {}
        self.extra_joins: list[str] = []

    @property
    def bases(self) -> tuple[str, ...]:
        """The tables of this and the outer SELECTs, innermost first."""
        return (self.table, *(self.outer.bases if self.outer else ()))

    def column(self, table: str, column: str, required: bool = False) -> Sql:
        """A stored column; ``required`` drops rows whose parent is missing."""
        if self.outer is not None and table == self.outer.table and table != self.table:
            return self.outer.column(table, column, required)
        if not self.context.reaches(self.table, table):
            if self.outer is None:
                raise CompileError(f"{table}.{column} is out of reach of {self.table}")
            return self.outer.column(table, column, required)
        alias = self.join(table, required)
        name = identifier(column)
        return Sql(f"{identifier(alias)}.{name}" if self.qualified else name)

    def join(self, table: str, required: bool = False) -> str:
        """The alias of the base or an ancestor, joined if it is not yet."""
        path = self.context.path(self.table, table)
        if path is None:
            raise CompileError(f"{table} is out of reach of {self.table}")
        return self.follow(path, required)

    def follow(self, path: tuple[Step, ...], required: bool = False) -> str:
        """Join along a path; the alias of its end."""
        alias = self.alias
        for step in path:
            there = step.key.referenced_table
            if there not in self._joins:
                keys = [self.context.columns[step.table, name] for name in step.key.columns]
                optional = any(key.nullable for key in keys)
                self._joins[there] = _Join(self.aliases.take(there), step, step.table, optional)
            self._joins[there].required |= required
            alias = self._joins[there].alias
        return alias

    def correlate(self, path: tuple[Step, ...]) -> list[str]:
        """Conditions that tie this SELECT's rows to the row of the outer scope at the end of ``path``."""
        outer = self.outer
        if outer is None:
            raise CompileError(f"{self.table} has no outer row")
        inner = self.follow(path[:-1], required=True)
        last = path[-1].key
        return [
            f"{identifier(inner)}.{identifier(here)} = {identifier(outer.alias)}.{identifier(there)}"
            for here, there in zip(last.columns, last.referenced_columns, strict=True)
        ]

    def source(self) -> str:
        return identifier(self.table) + (f" AS {identifier(self.alias)}" if self.alias != self.table else "")

    def join_lines(self) -> list[str]:
        lines = []
        missing: set[str] = set()
        for table, join in self._joins.items():
            outer = (join.optional or join.from_table in missing) and not join.required
            if outer:
                missing.add(table)
            here = self.alias if join.from_table == self.table else self._joins[join.from_table].alias
            named = identifier(table) + (f" AS {identifier(join.alias)}" if join.alias != table else "")
            on = " AND ".join(
                f"{identifier(join.alias)}.{identifier(there)} = {identifier(here)}.{identifier(column)}"
                for column, there in zip(join.step.key.columns, join.step.key.referenced_columns, strict=True)
            )
            lines.append(f"{'LEFT JOIN' if outer else 'JOIN'} {named} ON {on}")
        return [*lines, *self.extra_joins]


class ParentScope(Scope):
    """The columns of one joined ancestor, for derived names that are defined over its table."""

    def __init__(self, child: Scope, table: str, required: bool) -> None:
        self.context = child.context
        self.aliases = child.aliases
        self.table = table
        self.qualified = child.qualified
        self.outer = child.outer
        self.child = child
        self.alias = child.join(table, required)
        self.extra_joins = []

    def follow(self, path: tuple[Step, ...], required: bool = False) -> str:
        way = self.context.path(self.child.table, self.table)
        return self.child.follow((*(way or ()), *path), required)
