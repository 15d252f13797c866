"""The name that PostgreSQL gives to an output column without AS.

The rules are those of its parse_target.c. A name must never be claimed that PostgreSQL does not give: an
outer reference would then be checked against the wrong column. Not claiming one only refuses a statement.
"""

from collections.abc import Callable

from deployments.sql_validator.grammar import Node, pg, strings, unwrap

# How sure a name is: a cast may replace a weak one by its type's name, but not a strong one.
_WEAK, _STRONG = 1, 2

Name = tuple[int, str | None]
_NOTHING: Name = (0, None)

_VALUE_FUNCTIONS = {
    pg.SVFOP_CURRENT_DATE: "current_date",
    pg.SVFOP_CURRENT_TIME: "current_time",
    pg.SVFOP_CURRENT_TIME_N: "current_time",
    pg.SVFOP_CURRENT_TIMESTAMP: "current_timestamp",
    pg.SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
    pg.SVFOP_LOCALTIME: "localtime",
    pg.SVFOP_LOCALTIME_N: "localtime",
    pg.SVFOP_LOCALTIMESTAMP: "localtimestamp",
    pg.SVFOP_LOCALTIMESTAMP_N: "localtimestamp",
}


def output_name(expression: Node) -> str | None:
    """Name of a select-list expression; None if it is made up (``?column?``) or not known for sure."""
    return _figure(expression)[1]


def _figure(wrapped: Node) -> Name:
    node = unwrap(wrapped)
    figure = _FIGURES.get(type(node).__name__)
    return figure(node) if figure else _NOTHING


def _column(node: Node) -> Name:
    last = node.fields[-1]
    return (_STRONG, last.string.sval) if last.WhichOneof("node") == "string" else _NOTHING


def _expression(node: Node) -> Name:
    return (_STRONG, "nullif") if node.kind == pg.AEXPR_NULLIF else _NOTHING


def _cast(node: Node) -> Name:
    strength, name = _figure(node.arg)
    return (strength, name) if strength > _WEAK else (_WEAK, strings(node.type_name.names)[-1])


def _case(node: Node) -> Name:
    strength, name = _figure(node.defresult) if node.HasField("defresult") else _NOTHING
    return (strength, name) if strength > _WEAK else (_WEAK, "case")


def _sublink(node: Node) -> Name:
    if node.sub_link_type == pg.EXISTS_SUBLINK:
        return _STRONG, "exists"
    if node.sub_link_type == pg.ARRAY_SUBLINK:
        return _STRONG, "array"
    if node.sub_link_type != pg.EXPR_SUBLINK:
        return _NOTHING
    select = node.subselect.select_stmt
    while select.op != pg.SETOP_NONE:
        select = select.larg
    if not select.target_list:
        return _NOTHING
    target = select.target_list[0].res_target
    name = target.name or output_name(target.val)
    # A name that is not known for sure is still a strong one to PostgreSQL.
    return _STRONG, name


_FIGURES: dict[str, Callable[[Node], Name]] = {
    "ColumnRef": _column,
    "FuncCall": lambda node: (_STRONG, strings(node.funcname)[-1]),
    "A_Expr": _expression,
    "TypeCast": _cast,
    "CollateClause": lambda node: _figure(node.arg),
    "A_Indirection": lambda node: _figure(node.arg),
    "GroupingFunc": lambda node: (_STRONG, "grouping"),
    "SubLink": _sublink,
    "CaseExpr": _case,
    "A_ArrayExpr": lambda node: (_STRONG, "array"),
    "RowExpr": lambda node: (_STRONG, "row"),
    "CoalesceExpr": lambda node: (_STRONG, "coalesce"),
    "MinMaxExpr": lambda node: (_STRONG, "greatest" if node.op == pg.IS_GREATEST else "least"),
    "SQLValueFunction": lambda node: (_STRONG, _VALUE_FUNCTIONS.get(node.op)),
}
