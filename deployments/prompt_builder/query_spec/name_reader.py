"""Reading names: of tables, columns, derived values and predicates, each resolved as it is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.lexer import LexemeReader
from deployments.prompt_builder.query_spec.words import RESERVED

MAX_DEPTH: Final = 40  # nesting of the text; real questions stay under 10


class NameReader(LexemeReader):
    """Lexemes and the names in them; ``scopes`` are the tables whose columns may stand unqualified."""

    def __init__(self, text: str, context: SpecContext, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.context = context
        self.depth = 0
        self.scopes = scopes

    @contextmanager
    def scope(self, *tables: str) -> Iterator[None]:
        outer, self.scopes = self.scopes, (*tables, *self.scopes)
        yield
        self.scopes = outer

    @contextmanager
    def nested(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("the specification is nested too deeply", f"at most {MAX_DEPTH} levels")
        yield
        self.depth -= 1

    def is_name(self) -> bool:
        here = self.here
        return here.kind == "quoted" or (here.kind == "name" and here.value not in RESERVED)

    def name(self, what: str) -> str:
        if not self.is_name():
            raise self.error(f"unexpected {self.here.value or 'end'!r}", what)
        self.at += 1
        return self.lexemes[self.at - 1].value

    def table(self) -> str:
        start = self.here
        name = self.name("a table name")
        if name not in self.context.tables:
            raise SpecError(f"no table {name!r}", start.start, ", ".join(self.context.tables))
        return name

    def qualified(self) -> tuple[str, str]:
        """Table and name of a column, derived value or predicate."""
        start = self.here
        first = self.name("a column")
        if self.accept("."):
            second = self.name("a column name")
            if first not in self.context.tables:
                raise SpecError(f"no table {first!r}", start.start, ", ".join(self.context.tables))
            if self._has(first, second):
                return first, second
            raise SpecError(
                f"{first!r} has no column {second!r}", start.start, ", ".join(self.context.names_of(first))
            )
        for table in self.scopes:
            if self._has(table, first):
                return table, first
        known = ", ".join(f"{t}.{c}" for t in dict.fromkeys(self.scopes) for c in self.context.names_of(t))
        raise SpecError(f"no column {first!r}", start.start, known)

    def _has(self, table: str, name: str) -> bool:
        return self.context.is_value(table, name) or self.context.is_predicate(table, name)

    def is_predicate(self) -> bool:
        start = self.at
        if not self.is_name():
            return False
        try:
            return self.context.is_predicate(*self.qualified())
        except SpecError:
            return False
        finally:
            self.at = start
