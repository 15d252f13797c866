"""The domain pack for an instruction model: what people call things, and how named values are computed."""

import re

from deployments.prompt_builder.domain import Derived, DomainPack
from deployments.prompt_builder.retrieval import words
from deployments.prompt_builder.schema_text import identifier, literal, one_line
from serve_app.contracts import SchemaSnapshot

_AGGREGATE = re.compile(r"\b(count|sum|avg|min|max)\(([^()]*?) if ([^()]*)\)")
_WEEKDAY = re.compile(r"\bweekday\(([^()]*)\)")


def sql_like(expression: str) -> str:
    """A derived value's expression with PostgreSQL's spelling of conditions and dates."""
    spelled = _AGGREGATE.sub(r"\1(\2) FILTER (WHERE \3)", expression)
    spelled = _WEEKDAY.sub(r"EXTRACT(ISODOW FROM \1)", spelled)
    return re.sub(r"\btoday\b", "CURRENT_DATE", spelled)


def parts_of(derived: Derived, pack: DomainPack) -> tuple[Derived, ...]:
    """The named values that stand in a formula."""

    def spelling(part: Derived) -> str:
        return rf"\b{part.name}\b" if part.table == derived.table else rf"\b{part.table}\.{part.name}\b"

    return tuple(p for p in pack.derived if p is not derived and re.search(spelling(p), derived.expression))


class Terminology:
    """The pack's words for one schema; lines are chosen per question."""

    def __init__(self, pack: DomainPack, schema: SchemaSnapshot) -> None:
        self._pack = pack
        self._schema = schema
        self._columns = {table.name: {c.name for c in table.columns} for table in schema.tables}
        self._absent = _absent_names(pack, self._columns)

    def lines(self, text: str, tables: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Lines that help with a text: readings, nouns of the tables, matched values and formulas.

        Args:
            text: the question, with the conversation's questions before it if they matter.
            tables: only these tables' words; all of the schema's if None.
        """
        said = frozenset(words(text))
        names = [
            name for name in self._pack.tables if name in self._columns and (tables is None or name in tables)
        ]
        nouns = [line for name in names for line in self._table_line(name)]
        return (*self._notes(), *nouns, *self._values(names, said), *self._derived(names, said))

    def _notes(self) -> tuple[str, ...]:
        return tuple(one_line(note) for note in self._pack.notes if not self._names_absent(note))

    def _names_absent(self, text: str) -> bool:
        """Whether a text speaks of a table or column that this schema does not have or may not show."""
        return any(word in self._absent for word in re.findall(r"\w+", text))

    def _table_line(self, name: str) -> list[str]:
        terms = [term for term in self._pack.tables[name].terms if term != name]
        return [f"{identifier(name)}: {', '.join(terms)}"] if terms else []

    def _values(self, names: list[str], said: frozenset[str]) -> list[str]:
        """``"gear" means expenses.category = 'equipment'`` for every other word of a value that is said."""
        found: list[str] = []
        for name in names:
            for column, terms in self._pack.tables[name].columns.items():
                if column not in self._columns[name]:
                    continue
                place = f"{identifier(name)}.{identifier(column)}"
                for value, others in terms.values.items():
                    spoken = [word for word in others if word != value and _is_said(word, said)]
                    found += [f'"{word}" means {place} = {literal(value)}' for word in spoken[:2]]
        return found

    def _derived(self, names: list[str], said: frozenset[str]) -> list[str]:
        chosen: dict[tuple[str, str], Derived] = {}
        for derived in self._pack.derived:
            if derived.table in names and any(
                _is_said(term, said) for term in (*derived.terms, derived.name)
            ):
                self._with_parts(derived, chosen)
        lines = (self._derived_line(derived) for derived in chosen.values())
        return [line for line in lines if not self._names_absent(line)]

    def _with_parts(
        self, derived: Derived, chosen: dict[tuple[str, str], Derived], within: tuple[Derived, ...] = ()
    ) -> None:
        """Also the named values a formula is made of, before it; ``within`` stops circular definitions."""
        for part in parts_of(derived, self._pack):
            if part not in within and (part.table, part.name) not in chosen:
                self._with_parts(part, chosen, (*within, derived))
        chosen[derived.table, derived.name] = derived

    def _derived_line(self, derived: Derived) -> str:
        verb = "=" if derived.kind == "value" else "means"
        terms = ", ".join(dict.fromkeys([derived.name.replace("_", " "), *derived.terms[:3]]))
        return f"{identifier(derived.table)}, {terms} {verb} {sql_like(derived.expression)}"


def _is_said(term: str, said: frozenset[str]) -> bool:
    parts = frozenset(words(term.replace("_", " ")))
    return bool(parts) and parts <= said


def _absent_names(pack: DomainPack, columns: dict[str, set[str]]) -> frozenset[str]:
    """Names of tables and columns that the pack knows and the schema does not have anywhere."""
    present = columns.keys() | set().union(*columns.values()) if columns else set()
    known = {name for table, terms in pack.tables.items() for name in (table, *terms.columns)}
    return frozenset(known - present)
