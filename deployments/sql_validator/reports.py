"""What is said of names that are wrong: exact words with suggestions for the model, plain ones for the user.

Suggestions and lists hold only what the policy allows. A column that it withholds is told of as one that does
not exist: nobody is to learn names by asking for them.
"""

from collections.abc import Iterable

from rapidfuzz import process

from deployments.sql_validator.grammar import Node
from deployments.sql_validator.rules.base import (
    NOT_AVAILABLE,
    UNREADABLE,
    ParsedStatement,
    RuleName,
    violation,
)
from deployments.sql_validator.scopes import Column, Ctes, Relation, Scope
from serve_app.contracts import Violation

# Similarity (0-100) from which a name is worth suggesting: "amout" to "amount" has 91, unrelated names
# under 50.
_SIMILAR = 60
_LISTED = 12


class NameReports:
    """Collects violations of one statement's names."""

    def __init__(self, statement: ParsedStatement) -> None:
        self._rights = statement.rights
        self._source = statement.source
        self.violations: list[Violation] = []

    def relation(self, qualifier: tuple[str, ...], scope: Scope, byte: int) -> Relation | None:
        """The relation that a qualifier names, or a report and None."""
        if len(qualifier) > 2:
            self._add("unknown_column", "names have at most schema, table and column", UNREADABLE, byte)
            return None
        schema = qualifier[0] if len(qualifier) == 2 else None
        found = scope.relations(qualifier[-1], schema)
        if len(found) == 1:
            return found[0]
        name = ".".join(qualifier)
        if found:
            self._add("ambiguous_column", f'"{name}" names more than one table', UNREADABLE, byte)
            return None
        known = [r.name for r in scope.all_relations() if r.name]
        reason = f'there is no table or alias "{name}" in FROM' + _did_you_mean(name, known)
        self._add("unknown_table", reason, _no_such(name), byte)
        return None

    def check(self, found: list[Column], names: tuple[str, ...], scope: Scope, byte: int | None) -> None:
        """Report unless exactly one allowed column was found."""
        if len(found) == 1 and not found[0].denied:
            return
        name = names[-1]
        if not found or any(c.denied for c in found):
            self._unknown_column(names, scope, byte)
        else:
            owners = ", ".join(dict.fromkeys(r.name for r in scope.all_relations() if r.matches(name)))
            reason = f'column "{name}" is ambiguous; write which table it is of: {owners}'
            self._add("ambiguous_column", reason, UNREADABLE, byte)

    def _unknown_column(self, names: tuple[str, ...], scope: Scope, byte: int | None) -> None:
        name = names[-1]
        relations = scope.all_relations()
        if len(names) > 1:
            relations = [r for r in relations if r.name == names[-2]]
        elif any(r.name == name for r in relations):
            reason = f'"{name}" is a whole row; name the columns'
            self._add("whole_row", reason, UNREADABLE, byte)
            return
        if any(r.unknown for r in relations):
            return
        where = ", ".join(dict.fromkeys(r.table or r.name for r in relations if r.table or r.name))
        known = [c.name for r in relations for c in r.columns if c.name and not c.denied]
        reason = f'column "{name}" does not exist' + (f" in {where}" if where else "")
        owners = [t.name for t in self._rights.tables.values() if name in t.allowed]
        if owners:
            hint = f"; it is a column of {', '.join(owners)}"
        else:
            hint = _did_you_mean(name, known) or (f"; there are: {_listing(known)}" if known else "")
        self._add("unknown_column", reason + hint, _no_such(name), byte)

    def denied_star(self, columns: list[Column], byte: int) -> None:
        if any(c.denied for c in columns):
            allowed = [c.name for c in columns if c.name and not c.denied]
            reason = f"* asks for more columns than may be read; name columns instead: {_listing(allowed)}"
            self._add("denied_column", reason, NOT_AVAILABLE, byte)

    def whole_row_star(self, byte: int) -> None:
        reason = "* is allowed only as an item of the select list and in count(*); name the columns"
        self._add("whole_row", reason, UNREADABLE, byte)

    def duplicates(self, scope: Scope) -> None:
        seen = set()
        for item in scope.items:
            for relation in item.relations:
                if relation.name and relation.name in seen:
                    self.ambiguous_table(relation.name, None)
                seen.add(relation.name)

    def ambiguous_table(self, name: str, byte: int | None) -> None:
        reason = f'the name "{name}" is given twice; use different aliases'
        self._add("ambiguous_column", reason, UNREADABLE, byte)

    def unknown_table(self, node: Node, ctes: Ctes) -> None:
        name = f"{node.schemaname}.{node.relname}" if node.schemaname else node.relname
        known = [*self._rights.tables, *ctes.names()]
        hint = _did_you_mean(node.relname, known)
        if not hint:
            hint = f"; there are: {_listing(sorted(self._rights.tables))}" if self._rights.tables else ""
        self._add("unknown_table", f'table "{name}" does not exist{hint}', _no_such(name), node.location)

    def table_alias_list(self, node: Node) -> None:
        reason = f"columns of the table {node.relname} cannot be renamed in FROM; use AS in the select list"
        self._add("clause", reason, UNREADABLE, node.location)

    def recursion(self, node: Node) -> None:
        reason = f'"{node.relname}" is used before it is defined; in WITH RECURSIVE use it after UNION only'
        self._add("unknown_table", reason, UNREADABLE, node.location)

    def _add(self, rule: RuleName, reason: str, message: str, byte: int | None) -> None:
        position = None if byte is None or byte < 0 else self._source.character(byte)
        self.violations.append(violation(rule, reason, message, position))


def _no_such(name: str) -> str:
    return f'The data has nothing called "{name}", or it is not available to you.'


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = process.extractOne(name, list(dict.fromkeys(known)), score_cutoff=_SIMILAR)
    return f'; did you mean "{close[0]}"?' if close else ""


def _listing(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:_LISTED]) + (", …" if len(distinct) > _LISTED else "")
