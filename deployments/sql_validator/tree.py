"""The shape of an acceptable tree: which node kinds with which fields, and an index of them.

What is not listed is refused, so a clause that a new version of the grammar adds stays out by itself. The
fields left out are as telling as those listed: no INTO, no row locks, no NATURAL, no alias on a join, no
column definitions, no VARIADIC, no ORDER BY … USING, no SEARCH or CYCLE, no bit strings.
"""

from collections import defaultdict
from typing import Any

from deployments.sql_validator.grammar import MANY, ONE, Node, children, field_shape, pg, unwrap
from deployments.sql_validator.rules.base import UNREADABLE, Names, violation
from serve_app.contracts import Violation

_FIELDS: dict[str, frozenset[str]] = {
    kind: frozenset(fields.split())
    for kind, fields in {
        "A_ArrayExpr": "elements list_start list_end location",
        "A_Const": "ival fval boolval sval isnull location",
        "A_Expr": "kind name lexpr rexpr rexpr_list_start rexpr_list_end location",
        "A_Indices": "is_slice lidx uidx",
        "A_Indirection": "arg indirection",
        "A_Star": "",
        "Alias": "aliasname colnames",
        "BoolExpr": "boolop args location",
        "Boolean": "boolval",
        "BooleanTest": "arg booltesttype location",
        "CaseExpr": "arg args defresult location",
        "CaseWhen": "expr result location",
        "CoalesceExpr": "args location",
        "CollateClause": "arg collname location",
        "ColumnRef": "fields location",
        "CommonTableExpr": "ctename aliascolnames ctematerialized ctequery location",
        "Float": "fval",
        "FuncCall": "funcname args agg_order agg_filter agg_within_group agg_star agg_distinct over "
        "funcformat location",
        "GroupingFunc": "args location",
        "GroupingSet": "kind content location",
        "Integer": "ival",
        "JoinExpr": "jointype larg rarg using_clause quals",
        "List": "items",
        "MinMaxExpr": "op args location",
        "NamedArgExpr": "name arg argnumber location",
        "NullTest": "arg nulltesttype location",
        "RangeFunction": "lateral ordinality functions alias",
        "RangeSubselect": "lateral subquery alias",
        "RangeVar": "schemaname relname inh relpersistence alias location",
        "ResTarget": "name val location",
        "RowExpr": "args row_format location",
        "SQLValueFunction": "op typmod location",
        "SelectStmt": "with_clause distinct_clause target_list from_clause where_clause group_clause "
        "group_distinct having_clause window_clause values_lists sort_clause limit_offset limit_count "
        "limit_option op all larg rarg",
        "SortBy": "node sortby_dir sortby_nulls location",
        "String": "sval",
        "SubLink": "sub_link_type testexpr oper_name subselect location",
        "TypeCast": "arg type_name location",
        "TypeName": "names typmods typemod array_bounds location",
        "WindowDef": "name refname partition_clause order_clause frame_options start_offset end_offset "
        "location",
        "WithClause": "ctes recursive location",
    }.items()
}

_WORDS = {
    "SelectStmt.into_clause": "SELECT INTO, which creates a table,",
    "SelectStmt.locking_clause": "FOR UPDATE, FOR SHARE and the like",
    "JoinExpr.is_natural": "NATURAL JOIN (write ON or USING)",
    "JoinExpr.alias": "an alias on a join",
    "JoinExpr.join_using_alias": "an alias on USING",
    "RangeVar.catalogname": "a table name with a database",
    "RangeFunction.is_rowsfrom": "ROWS FROM",
    "RangeFunction.coldeflist": "a column definition list",
    "FuncCall.func_variadic": "VARIADIC",
    "CommonTableExpr.search_clause": "SEARCH",
    "CommonTableExpr.cycle_clause": "CYCLE",
    "SortBy.use_op": "ORDER BY … USING",
    "RangeTableSample": "TABLESAMPLE",
    "RangeTableFunc": "XMLTABLE",
    "JsonTable": "JSON_TABLE",
    "ParamRef": "a parameter",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}
_CHANGES_DATA = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})

Kinds = dict[str, list[Any]]

# By field descriptor: the shape of what is listed. Descriptors belong to one kind each, and are slow to ask.
_REFUSED = -1
_LISTED_SHAPES: dict[Any, int] = {}


def single_select(tree: Node) -> Node | Violation:
    """The one SELECT of a parse result, or why there is none."""
    if len(tree.stmts) != 1:
        reason = f"there must be exactly one SELECT statement, found {len(tree.stmts)} statements"
        return violation("single_statement", reason, "Only one query can be run at a time.")
    statement = unwrap(tree.stmts[0].stmt)
    kind = type(statement).__name__
    if kind != "SelectStmt":
        reason = f"only SELECT is allowed, this is {_words(kind)}"
        return violation(
            "select_only", reason, "Only queries that read data can be run; nothing may be changed."
        )
    return statement


def index(select: Node) -> tuple[Kinds, list[Violation]]:
    """All messages of a tree by kind, and a violation for each kind or field that is not listed.

    The direct function of a FROM item is listed as ``TableFunction``, all other calls as ``FuncCall``.
    """
    kinds: Kinds = defaultdict(list)
    violations: list[Violation] = []
    pending: list[Any] = [select]
    while pending:
        message = pending.pop()
        if message.__class__ is pg.Node:
            # Plain DISTINCT is a node without a child.
            pending.extend(children(message))
            continue
        kind = message.__class__.__name__
        if kind not in _FIELDS:
            violations.append(_refused(kind, kind in _CHANGES_DATA))
            continue
        kinds[kind].append(message)
        for field, value in message.ListFields():
            shape = _LISTED_SHAPES.get(field)
            if shape is None:
                shape = _LISTED_SHAPES[field] = (
                    field_shape(field) if field.name in _FIELDS[kind] else _REFUSED
                )
            if shape == MANY:
                pending.extend(value)
            elif shape == ONE:
                pending.append(value)
            elif shape == _REFUSED:
                violations.append(_refused(f"{kind}.{field.name}", False))
    _separate_table_functions(kinds)
    return kinds, violations


def names_in(kinds: Kinds) -> Names:
    """The names of tables and columns in an indexed tree; stars have none."""
    names = Names()
    for table in kinds["RangeVar"]:
        names["table", table.relname] += 1
    for reference in kinds["ColumnRef"]:
        last = reference.fields[-1]
        if last.WhichOneof("node") == "string":
            names["column", last.string.sval] += 1
    return names


def _separate_table_functions(kinds: Kinds) -> None:
    for item in kinds["RangeFunction"]:
        function = table_function(item)
        if function is not None:
            kinds["TableFunction"].append(function)
            kinds["FuncCall"] = [call for call in kinds["FuncCall"] if call is not function]


def table_function(item: Node) -> Node | None:
    """The call of a RangeFunction; None if it is something else, such as CURRENT_DATE in FROM."""
    if len(item.functions) != 1 or item.functions[0].WhichOneof("node") != "list":
        return None
    call = item.functions[0].list.items[0]
    return call.func_call if call.WhichOneof("node") == "func_call" else None


def _refused(what: str, changes_data: bool) -> Violation:
    if changes_data:
        reason = f"{_words(what)} is not allowed anywhere in the statement"
        return violation(
            "select_only", reason, "Only queries that read data can be run; nothing may be changed."
        )
    return violation("clause", f"{_words(what)} is not allowed", UNREADABLE)


def _words(what: str) -> str:
    return _WORDS.get(what, what.removesuffix("Stmt"))


def descendants(message: Node, stop: str = "") -> list[Any]:
    """All messages below and including one, not going into messages of the kind ``stop``."""
    found = []
    pending = [message]
    while pending:
        current = pending.pop()
        kind = type(current).__name__
        if kind != "Node":
            found.append(current)
        if kind != stop:
            pending.extend(children(current))
    return found
