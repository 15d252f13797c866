"""Rules that compare names with the policy's lists, and clauses with what they may hold."""

from rapidfuzz import process

from deployments.sql_validator.grammar import Node, pg, strings
from deployments.sql_validator.rules.base import UNREADABLE, UNSAFE, ParsedStatement, TreeRule, violation
from deployments.sql_validator.tree import table_function
from serve_app.contracts import Violation

_EXPRESSIONS = frozenset(
    {
        pg.AEXPR_OP,
        pg.AEXPR_OP_ANY,
        pg.AEXPR_OP_ALL,
        pg.AEXPR_DISTINCT,
        pg.AEXPR_NOT_DISTINCT,
        pg.AEXPR_NULLIF,
        pg.AEXPR_IN,
        pg.AEXPR_LIKE,
        pg.AEXPR_ILIKE,
        pg.AEXPR_SIMILAR,
        pg.AEXPR_BETWEEN,
        pg.AEXPR_NOT_BETWEEN,
        pg.AEXPR_BETWEEN_SYM,
        pg.AEXPR_NOT_BETWEEN_SYM,
    }
)
# BETWEEN carries a word in place of an operator.
_NAMELESS = frozenset(
    {pg.AEXPR_BETWEEN, pg.AEXPR_NOT_BETWEEN, pg.AEXPR_BETWEEN_SYM, pg.AEXPR_NOT_BETWEEN_SYM}
)
_SUBLINKS = frozenset({pg.EXISTS_SUBLINK, pg.ALL_SUBLINK, pg.ANY_SUBLINK, pg.EXPR_SUBLINK, pg.ARRAY_SUBLINK})
_DATE_VALUES = frozenset(range(pg.SVFOP_CURRENT_DATE, pg.SVFOP_LOCALTIMESTAMP_N + 1))


def functions(statement: ParsedStatement) -> list[Violation]:
    """Calls name functions of the list; set-returning ones stand in FROM only."""
    rights = statement.rights
    series = rights.set_returning_functions
    found = []
    for kind, listed in (("FuncCall", rights.functions), ("TableFunction", rights.functions | series.keys())):
        for call in statement.of(kind):
            name = _catalog_name(strings(call.funcname))
            if name not in listed:
                found.append(_unknown_function(statement, call, name))
    return found


def _catalog_name(names: tuple[str, ...]) -> str:
    if len(names) == 1 or (len(names) == 2 and names[0] == "pg_catalog"):
        return names[-1]
    return ".".join(names)


def _unknown_function(statement: ParsedStatement, call: Node, name: str) -> Violation:
    rights = statement.rights
    if name in rights.set_returning_functions:
        reason = f"{name} returns rows; use it in FROM"
    else:
        hint = rights.function_hints.get(name)
        close = None if hint else process.extractOne(name, rights.functions, score_cutoff=85)
        reason = f"the function {name} is not allowed"
        reason += f"; {hint}" if hint else f"; did you mean {close[0]}?" if close else ""
    return violation("function", reason, UNSAFE, statement.position(call))


def types(statement: ParsedStatement) -> list[Violation]:
    """Casts name listed types or enum types of the schema, with literal modifiers."""
    rights = statement.rights
    found = []
    for node in statement.of("TypeName"):
        *qualifier, name = strings(node.names)
        allowed = (
            (name in rights.types and qualifier in ([], ["pg_catalog"]))
            or (name in rights.types and name in rights.enum_types)
            or (name in rights.enum_types and qualifier in ([], [rights.schema_name]))
        )
        if not allowed:
            spelled = ".".join([*qualifier, name])
            reason = f"the type {spelled} is not allowed"
            found.append(violation("type", reason, UNREADABLE, statement.position(node)))
        elif not all(_is_integer(m) for m in node.typmods):
            reason = f"a modifier of the type {name} is not a number"
            found.append(violation("type", reason, UNREADABLE, statement.position(node)))
    return found


def _is_integer(node: Node) -> bool:
    return bool(node.WhichOneof("node") == "a_const" and node.a_const.WhichOneof("val") == "ival")


def operators(statement: ParsedStatement) -> list[Violation]:
    """Operators are listed and unqualified; OPERATOR(schema.+) could name anyone's function."""
    named = [(e, e.name) for e in statement.of("A_Expr") if e.kind not in _NAMELESS]
    named += [(s, s.oper_name) for s in statement.of("SubLink") if s.oper_name]
    found = []
    for node, name in named:
        spelled = strings(name)
        if len(spelled) != 1 or spelled[0] not in statement.rights.operators:
            reason = f"the operator {'.'.join(spelled)} is not allowed"
            found.append(violation("operator", reason, UNREADABLE, statement.position(node)))
    return found


def collations(statement: ParsedStatement) -> list[Violation]:
    return [
        violation("clause", f"the collation {'.'.join(strings(c.collname))} is not allowed", UNREADABLE)
        for c in statement.of("CollateClause")
        if _catalog_name(strings(c.collname)) not in statement.rights.collations
    ]


def expression_kinds(statement: ParsedStatement) -> list[Violation]:
    """Kinds within kinds: expressions, subqueries, CURRENT_USER and its like, field selection."""
    found = []
    for node in statement.of("SQLValueFunction"):
        if node.op not in _DATE_VALUES:
            reason = "names of the user, role, schema or database are not allowed"
            found.append(violation("function", reason, UNSAFE, statement.position(node)))
    if any(e.kind not in _EXPRESSIONS for e in statement.of("A_Expr")):
        found.append(violation("clause", "an unknown kind of expression", UNREADABLE))
    if any(s.sub_link_type not in _SUBLINKS for s in statement.of("SubLink")):
        found.append(violation("clause", "an unknown kind of subquery", UNREADABLE))
    for node in statement.of("A_Indirection"):
        if any(i.WhichOneof("node") != "a_indices" for i in node.indirection):
            reason = "fields of rows cannot be selected as (row).field; name the column"
            found.append(violation("whole_row", reason, UNREADABLE))
    return found


def from_items(statement: ParsedStatement) -> list[Violation]:
    found = [
        violation("clause", "ONLY is not allowed", UNREADABLE, statement.position(table))
        for table in statement.of("RangeVar")
        if not table.inh
    ]
    if any(table_function(f) is None for f in statement.of("RangeFunction")):
        found.append(violation("clause", "only function calls can stand in FROM", UNREADABLE))
    return found


def select_lists(statement: ParsedStatement) -> list[Violation]:
    """A column in every SELECT, and no bare VALUES as the whole statement."""
    found = []
    if statement.select.values_lists:
        found.append(
            violation("select_only", "VALUES alone is not a question to a table; write SELECT", UNREADABLE)
        )
    if any(
        select.op == pg.SETOP_NONE and not select.target_list and not select.values_lists
        for select in statement.of("SelectStmt")
    ):
        found.append(violation("clause", "a SELECT names no column", UNREADABLE))
    return found


ALLOWED_RULES: tuple[TreeRule, ...] = (
    functions,
    types,
    operators,
    collations,
    expression_kinds,
    from_items,
    select_lists,
)
