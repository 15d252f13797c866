"""Which tables a question can need: by the words of schema and domain pack, closed over foreign keys."""

from collections import deque
from collections.abc import Iterable

from deployments.prompt_builder.domain import Derived, DomainPack, TableTerms
from deployments.prompt_builder.instruction.terminology import parts_of
from deployments.prompt_builder.retrieval import words
from serve_app.contracts import SchemaSnapshot, Table

# A table's own noun says more than a column's, which many tables may share ("name", "status", "date").
TABLE_WEIGHT = 4.0
DERIVED_WEIGHT = 3.0
VALUE_WEIGHT = 2.0
COLUMN_WEIGHT = 1.0
# A word of a stored name ("Harbor" of "Harbor Tower") hints at its column without naming it fully.
NAME_PART_WEIGHT = 0.5
SHORTEST_NAME_PART = 4


class Vocabulary:
    """The words of one schema and pack, per table; built once per fingerprint."""

    def __init__(self, schema: SchemaSnapshot, pack: DomainPack) -> None:
        self._tables = {table.name: table for table in schema.tables}
        self._phrases: dict[str, dict[frozenset[str], float]] = {}
        for table in schema.tables:
            self._phrases[table.name] = _phrases(table, pack)
        self._neighbours = _neighbours(schema)

    def scores(self, text: str) -> dict[str, float]:
        """How strongly the words of a text speak of each table; only tables with any."""
        said = frozenset(words(text))
        found = {
            name: sum(weight for phrase, weight in phrases.items() if phrase <= said)
            for name, phrases in self._phrases.items()
        }
        return {name: score for name, score in found.items() if score > 0}

    def by_usefulness(self, text: str) -> tuple[tuple[str, ...], int]:
        """All tables, the most useful first, and how many of them the question can need.

        Needed are the tables it speaks of, those they reference (any number of steps), and those on the
        shortest way between two of them. If it speaks of none, any table may be meant and all are needed.
        """
        scores = self.scores(text)
        spoken = sorted(scores, key=lambda name: (-scores[name], name))
        needed = list(dict.fromkeys([*spoken, *self._bridges(spoken), *self._referenced(spoken)]))
        rest = [name for name in self._tables if name not in needed]
        return tuple(needed + rest), len(needed) or len(self._tables)

    def _referenced(self, names: Iterable[str]) -> list[str]:
        found: list[str] = []
        queue = deque(names)
        while queue:
            for key in self._tables[queue.popleft()].foreign_keys:
                if key.referenced_table in self._tables and key.referenced_table not in found:
                    found.append(key.referenced_table)
                    queue.append(key.referenced_table)
        return found

    def _bridges(self, spoken: list[str]) -> list[str]:
        return [step for target in spoken[1:] for step in self._way(spoken[0], target)]

    def _way(self, start: str, target: str) -> list[str]:
        """The tables on a shortest way over foreign keys, in either direction; start itself is not one."""
        came_from: dict[str, str] = {start: start}
        queue = deque([start])
        while queue and target not in came_from:
            here = queue.popleft()
            for there in self._neighbours[here]:
                if there not in came_from:
                    came_from[there] = here
                    queue.append(there)
        way: list[str] = []
        step = came_from.get(target, start)
        while step != start:
            way.append(step)
            step = came_from[step]
        return way


def _neighbours(schema: SchemaSnapshot) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {table.name: [] for table in schema.tables}
    for table in schema.tables:
        for key in table.foreign_keys:
            if key.referenced_table in found:
                found[table.name].append(key.referenced_table)
                found[key.referenced_table].append(table.name)
    return found


def _phrases(table: Table, pack: DomainPack) -> dict[frozenset[str], float]:
    terms = pack.tables.get(table.name)
    weighted = [(table.name, TABLE_WEIGHT)]
    if terms is not None:
        weighted += [(term, TABLE_WEIGHT) for term in (*terms.terms, *terms.plurals)]
    for derived in pack.derived:
        if table.name in tables_of(derived, pack):
            weighted += [(term, DERIVED_WEIGHT) for term in derived.terms]
    for column in table.columns:
        weighted.append((column.name, COLUMN_WEIGHT))
        weighted += [(value, VALUE_WEIGHT) for value in (*column.enum_values, *column.sample_values)]
        weighted += _name_parts(column.sample_values)
        weighted += _column_terms(terms, column.name)
    phrases: dict[frozenset[str], float] = {}
    for text, weight in weighted:
        phrase = frozenset(words(text.replace("_", " ")))
        if phrase:
            phrases[phrase] = max(weight, phrases.get(phrase, 0.0))
    return phrases


def tables_of(derived: Derived, pack: DomainPack, within: tuple[Derived, ...] = ()) -> set[str]:
    """The tables a named value is computed from, its parts' tables included."""
    found = {derived.table, *(name for name in pack.tables if f"{name}." in derived.expression)}
    for part in parts_of(derived, pack):
        if part not in within:
            found |= tables_of(part, pack, (*within, derived))
    return found


def _column_terms(terms: TableTerms | None, column: str) -> list[tuple[str, float]]:
    spoken = terms.columns.get(column) if terms else None
    if spoken is None:
        return []
    values = [word for value, others in spoken.values.items() for word in (value, *others)]
    return [(term, COLUMN_WEIGHT) for term in spoken.terms] + [(value, VALUE_WEIGHT) for value in values]


def _name_parts(values: tuple[str, ...]) -> list[tuple[str, float]]:
    parts = {part for value in values for part in words(value) if len(part) >= SHORTEST_NAME_PART}
    return [(part, NAME_PART_WEIGHT) for part in sorted(parts)]
