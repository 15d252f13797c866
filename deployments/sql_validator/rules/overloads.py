"""Nothing is called by a name that the database gives to functions or operators of its own as well.

The server chooses among all functions of a name by the types of the arguments, which the tree does not tell.
What the grammar itself qualifies, such as EXTRACT, can only be PostgreSQL's.
"""

from collections.abc import Iterator

from deployments.sql_validator.grammar import pg, strings
from deployments.sql_validator.rules.base import UNSAFE, ParsedStatement, TreeRule, violation
from serve_app.contracts import Violation

# BETWEEN is a word for two comparisons.
_BETWEEN = (">=", "<=")
_NOT_BETWEEN = ("<", ">")
_COMPARISONS = {
    pg.AEXPR_BETWEEN: _BETWEEN,
    pg.AEXPR_BETWEEN_SYM: _BETWEEN,
    pg.AEXPR_NOT_BETWEEN: _NOT_BETWEEN,
    pg.AEXPR_NOT_BETWEEN_SYM: _NOT_BETWEEN,
}


def only_own_names(statement: ParsedStatement) -> list[Violation]:
    overloaded = statement.rights.overloaded
    if not overloaded:
        return []
    return [
        violation(
            "function",
            f"{name} is not allowed here: the database has a function or operator of its own under that "
            "name (`plumbline doctor` tells which)",
            UNSAFE,
            position,
        )
        for position, name in _called(statement)
        if name in overloaded
    ]


def _called(statement: ParsedStatement) -> Iterator[tuple[int | None, str]]:
    """Each unqualified name that the server looks up to call something, also where only a word stands."""
    for call in (*statement.of("FuncCall"), *statement.of("TableFunction")):
        names = strings(call.funcname)
        if len(names) == 1:
            yield statement.position(call), names[0]
    for expression in statement.of("A_Expr"):
        for name in _COMPARISONS.get(expression.kind) or strings(expression.name):
            yield statement.position(expression), name
    for sublink in statement.of("SubLink"):
        for name in strings(sublink.oper_name) or (("=",) if sublink.sub_link_type == pg.ANY_SUBLINK else ()):
            yield statement.position(sublink), name
    for case in statement.of("CaseExpr"):
        if case.HasField("arg"):
            yield statement.position(case), "="
    if any(join.using_clause for join in statement.of("JoinExpr")):
        yield None, "="


OVERLOAD_RULES: tuple[TreeRule, ...] = (only_own_names,)
