"""Resolves every name of a statement to an allowed column, level by level, the way PostgreSQL does.

The resolver never asks what a name could mean: it repeats the lookup order of PostgreSQL's analyzer, with
the denied and system columns in place, because a name that it finds elsewhere than the server would pass a
denied column. Whole rows, functions called as attributes and the like fall out as names that are no column.
"""

from collections.abc import Iterable

from deployments.sql_validator.grammar import Node, children, pg, strings, unwrap
from deployments.sql_validator.names import output_name
from deployments.sql_validator.policy import TableRights
from deployments.sql_validator.reports import NameReports
from deployments.sql_validator.rules.base import ParsedStatement
from deployments.sql_validator.scopes import (
    MAX_COLUMNS,
    Column,
    Ctes,
    FromItem,
    Relation,
    Scope,
    item_of,
    renamed,
    table_relation,
    united,
)
from deployments.sql_validator.tree import table_function
from serve_app.contracts import Violation

_EMPTY = Scope()

# Most messages of an expression are these, and there is no column below them.
_NAMELESS = frozenset({pg.A_Const, pg.String})


class TooManyColumns(Exception):
    """Stars expand to more columns than PostgreSQL allows."""


class Resolver:
    """One pass over one statement; ``violations`` and ``tables`` are its results.

    ``meanings``: the columns that each reference may stand for, ``outputs``: the columns of each subquery of
    an expression, both by the identity of the message, which the statement keeps.
    """

    def __init__(self, statement: ParsedStatement) -> None:
        self._rights = statement.rights
        self._report = NameReports(statement)
        self.tables: set[str] = set()
        self.meanings: dict[int, list[Column]] = {}
        self.outputs: dict[int, tuple[Column, ...]] = {}

    @property
    def violations(self) -> list[Violation]:
        return self._report.violations

    def run(self, select: Node) -> None:
        self._select(select, _EMPTY, Ctes())

    def _select(self, select: Node, outer: Scope, ctes: Ctes) -> tuple[Column, ...]:
        """Resolve a SELECT at any depth; gives its output columns."""
        ctes = self._with(select, outer, ctes)
        if select.op != pg.SETOP_NONE:
            return self._set_operation(select, outer, ctes)
        if select.values_lists:
            return self._values(select, outer, ctes)
        items: list[FromItem] = []
        for node in select.from_clause:
            items.append(self._from(unwrap(node), outer, tuple(items), ctes))
        scope = Scope(outer, tuple(items))
        self._report.duplicates(scope)
        outputs = self._targets(select, scope, ctes)
        for clause in (select.where_clause, select.having_clause):
            self._expression(clause, scope, ctes)
        for window in select.window_clause:
            self._expression(window, scope, ctes)
        for item in select.group_clause:
            self._group(item, scope, ctes, outputs)
        for item in select.distinct_clause:
            self._by_output_name(item, scope, ctes, outputs)
        self._order_and_limit(select, scope, ctes, outputs)
        return outputs

    def _order_and_limit(self, select: Node, scope: Scope, ctes: Ctes, outputs: tuple[Column, ...]) -> None:
        for item in select.sort_clause:
            self._by_output_name(item.sort_by.node, scope, ctes, outputs)
        self._expression(select.limit_count, scope, ctes)
        self._expression(select.limit_offset, scope, ctes)

    # WITH and set operations

    def _with(self, select: Node, outer: Scope, ctes: Ctes) -> Ctes:
        if not select.HasField("with_clause"):
            return ctes
        recursive = select.with_clause.recursive
        definitions = [node.common_table_expr for node in select.with_clause.ctes]
        named: dict[str, tuple[Column, ...] | None] = {}
        for place, cte in enumerate(definitions):
            # In WITH RECURSIVE every name is in sight of every definition; those still to come cannot be
            # used.
            pending = {later.ctename: None for later in definitions[place:]} if recursive else {}
            if cte.ctename in named:
                self._report.ambiguous_table(cte.ctename, cte.location)
            columns = self._cte(cte, outer, Ctes(ctes, {**named, **pending}), recursive)
            named[cte.ctename] = columns
        return Ctes(ctes, named)

    def _cte(self, cte: Node, outer: Scope, ctes: Ctes, recursive: bool) -> tuple[Column, ...]:
        query = cte.ctequery.select_stmt
        names = strings(cte.aliascolnames)
        if not recursive or query.op != pg.SETOP_UNION:
            return renamed(self._select(query, outer, ctes), names)
        ctes = self._with(query, outer, ctes)
        first = tuple(
            c._replace(recursion=query) for c in renamed(self._select(query.larg, outer, ctes), names)
        )
        inner = {node.common_table_expr.ctename for node in query.with_clause.ctes}
        again = ctes if cte.ctename in inner else Ctes(ctes, {cte.ctename: first})
        self._select(query.rarg, outer, again)
        self._order_and_limit(query, Scope(outer, (FromItem(columns=first),)), ctes, first)
        return first

    def _set_operation(self, select: Node, outer: Scope, ctes: Ctes) -> tuple[Column, ...]:
        left = self._select(select.larg, outer, ctes)
        outputs = united(left, self._select(select.rarg, outer, ctes))
        self._order_and_limit(select, Scope(outer, (FromItem(columns=outputs),)), ctes, outputs)
        return outputs

    def _values(self, select: Node, outer: Scope, ctes: Ctes) -> tuple[Column, ...]:
        scope = Scope(outer)
        for row in select.values_lists:
            self._expression(row, scope, ctes)
        rows = zip(*(row.list.items for row in select.values_lists), strict=False)
        outputs = tuple(Column(f"column{place}", origins=values) for place, values in enumerate(rows, 1))
        self._order_and_limit(select, Scope(outer, (FromItem(columns=outputs),)), ctes, outputs)
        return outputs

    # FROM

    def _from(self, node: Node, outer: Scope, before: tuple[FromItem, ...], ctes: Ctes) -> FromItem:
        kind = type(node).__name__
        if kind == "RangeVar":
            return self._table(node, ctes)
        if kind == "RangeSubselect":
            around = Scope(outer, before) if node.lateral else outer
            columns = self._select(node.subquery.select_stmt, around, ctes)
            return item_of(Relation(node.alias.aliasname, renamed(columns, strings(node.alias.colnames))))
        if kind == "RangeFunction":
            return self._function(node, Scope(outer, before), ctes)
        return self._join(node, outer, before, ctes)

    def _table(self, node: Node, ctes: Ctes) -> FromItem:
        alias = node.alias.aliasname or node.relname
        names = strings(node.alias.colnames)
        if not node.schemaname:
            is_cte, columns = ctes.find(node.relname)
            if is_cte and columns is None:
                self._report.recursion(node)
            if is_cte:
                return item_of(Relation(alias, renamed(columns or (), names)))
        rights = self._table_rights(node)
        if rights is None:
            self._report.unknown_table(node, ctes)
            # Nothing is known of its columns; one report is enough.
            return item_of(Relation(alias, (), unknown=True))
        self.tables.add(rights.name)
        if names:
            self._report.table_alias_list(node)
        qualified = None if node.alias.aliasname else f"{self._rights.schema_name}.{node.relname}"
        return item_of(table_relation(rights, alias, qualified))

    def _table_rights(self, node: Node) -> TableRights | None:
        if node.schemaname not in ("", self._rights.schema_name):
            return None
        return self._rights.tables.get(node.relname)

    def _function(self, node: Node, around: Scope, ctes: Ctes) -> FromItem:
        call: Node = table_function(node)
        self._expression(call, around, ctes)
        name = strings(call.funcname)[-1]
        alias = node.alias.aliasname or name
        own = self._rights.set_returning_functions.get(name, ())
        width = len(call.args) if name == "unnest" else 1
        claimed = alias if width == 1 else name
        # A function of composite values has other columns than its alias; then the server looks outwards.
        denied = not own and any(c.denied for c in around.bare(claimed))
        columns = (
            tuple(Column(c, origins=(call,)) for c in own)
            or (Column(claimed, denied=denied, origins=(call,)),) * width
        )
        if node.ordinality:
            columns += (Column("ordinality"),)
        columns = renamed(columns, strings(node.alias.colnames))
        scalar = len(own) < 2 and width == 1 and not node.ordinality
        return item_of(Relation(alias, columns, scalar=scalar))

    def _join(self, node: Node, outer: Scope, before: tuple[FromItem, ...], ctes: Ctes) -> FromItem:
        left = self._from(unwrap(node.larg), outer, before, ctes)
        right = self._from(unwrap(node.rarg), outer, (*before, left), ctes)
        self._expression(node.quals, Scope(outer, (left, right)), ctes)
        merged = strings(node.using_clause)
        for name in merged:
            for side in (left, right):
                self._report.check(side.matches(name), (name,), Scope(None, (side,)), None)
        rest = tuple(c for c in left.columns + right.columns if c.name not in merged)
        both = [(*left.matches(name), *right.matches(name)) for name in merged]
        columns = tuple(Column(name, origins=sides) for name, sides in zip(merged, both, strict=True)) + rest
        return FromItem(left.relations + right.relations, columns)

    # select list and clauses that know its names

    def _targets(self, select: Node, scope: Scope, ctes: Ctes) -> tuple[Column, ...]:
        outputs: list[Column] = []
        for node in select.target_list:
            target = node.res_target
            if _is_star(target.val):
                outputs += self._star(target.val.column_ref, scope)
            else:
                self._expression(target.val, scope, ctes)
                outputs.append(Column(target.name or output_name(target.val), origins=(target.val,)))
            if len(outputs) > MAX_COLUMNS:
                raise TooManyColumns
        return tuple(outputs)

    def _star(self, reference: Node, scope: Scope) -> list[Column]:
        qualifier = strings(reference.fields[:-1])
        if not qualifier:
            columns = [c for item in scope.items for c in item.columns]
        else:
            relation = self._report.relation(qualifier, scope, reference.location)
            columns = list(relation.columns) if relation else []
        self._report.denied_star(columns, reference.location)
        return [Column(c.name, origins=(c,)) for c in columns]

    def _group(self, item: Node, scope: Scope, ctes: Ctes, outputs: tuple[Column, ...]) -> None:
        """GROUP BY prefers columns of FROM, then names of the select list."""
        if item.WhichOneof("node") == "grouping_set":
            for part in item.grouping_set.content:
                self._group(part, scope, ctes, outputs)
        elif item.WhichOneof("node") == "row_expr" and item.row_expr.row_format == pg.COERCE_IMPLICIT_CAST:
            for part in item.row_expr.args:
                self._group(part, scope, ctes, outputs)
        elif (name := _bare_name(item)) and not scope.local(name):
            self._by_output_name(item, scope, ctes, outputs)
        else:
            self._expression(item, scope, ctes)

    def _by_output_name(self, item: Node, scope: Scope, ctes: Ctes, outputs: tuple[Column, ...]) -> None:
        """ORDER BY and DISTINCT ON prefer names of the select list."""
        name = _bare_name(item)
        if name is None or all(c.name != name for c in outputs):
            self._expression(item, scope, ctes)

    # expressions

    def _expression(self, root: Node, scope: Scope, ctes: Ctes) -> None:
        """Resolve everything below a node of an expression; subqueries see ``scope`` around them."""
        pending: list[Node] = [root]
        while pending:
            message = pending.pop()
            kind = message.__class__
            if kind is pg.SelectStmt:
                self.outputs[id(message)] = self._select(message, scope, ctes)
            elif kind is pg.ColumnRef:
                self._column(message, scope)
            elif kind not in _NAMELESS:
                pending.extend(children(message))

    def _column(self, reference: Node, scope: Scope) -> None:
        if reference.fields[-1].WhichOneof("node") == "a_star":
            self._report.whole_row_star(reference.location)
            return
        names = strings(reference.fields)
        if len(names) == 1:
            found = scope.bare(names[0]) or self._function_value(names[0], scope)
        else:
            relation = self._report.relation(names[:-1], scope, reference.location)
            if relation is None or relation.unknown:
                return
            found = relation.matches(names[-1])
        self.meanings[id(reference)] = found
        self._report.check(found, names, scope, reference.location)

    def _function_value(self, name: str, scope: Scope) -> list[Column]:
        """The alias of a function in FROM stands for its value, where no column has that name."""
        relations = scope.relations(name)
        if len(relations) != 1 or not relations[0].scalar:
            return []
        return [Column(name, origins=relations[0].columns)]


def _is_star(value: Node) -> bool:
    return value.WhichOneof("node") == "column_ref" and _ends_in_star(value.column_ref.fields)


def _ends_in_star(fields: Iterable[Node]) -> bool:
    return str([f.WhichOneof("node") for f in fields][-1]) == "a_star"


def _bare_name(item: Node) -> str | None:
    if item.WhichOneof("node") != "column_ref" or len(item.column_ref.fields) != 1:
        return None
    field = item.column_ref.fields[0]
    return str(field.string.sval) if field.WhichOneof("node") == "string" else None
