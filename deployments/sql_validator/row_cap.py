"""Puts the row cap on a checked SELECT: a LIMIT is added, or lowered if it is larger."""

from decimal import Decimal, InvalidOperation

from deployments.sql_validator.grammar import Node, pg

_WRAPPER = "capped"


def apply_row_cap(tree: Node, cap: int) -> bool:
    """Change the statement of a parse result in place so that it gives at most ``cap`` rows.

    Returns:
        True if a LIMIT was added or lowered, so more rows may exist than the statement gives.
    """
    select = tree.stmts[0].stmt.select_stmt
    if select.limit_option == pg.LIMIT_OPTION_WITH_TIES:
        _wrap(tree.stmts[0].stmt, cap)
        return True
    if not select.HasField("limit_count") or _is_null(select.limit_count):
        select.limit_count.CopyFrom(_integer(cap))
        select.limit_option = pg.LIMIT_OPTION_COUNT
        return True
    literal = _number(select.limit_count)
    if literal is not None:
        if literal <= cap:
            return False
        select.limit_count.CopyFrom(_integer(cap))
        return True
    if _is_capped(select.limit_count, cap):
        return True
    # LEAST ignores NULL, so LIMIT NULL is capped as well.
    bound = pg.Node()
    bound.min_max_expr.op = pg.IS_LEAST
    bound.min_max_expr.location = -1
    bound.min_max_expr.args.add().CopyFrom(select.limit_count)
    bound.min_max_expr.args.add().CopyFrom(_integer(cap))
    select.limit_count.CopyFrom(bound)
    return True


def _wrap(statement: Node, cap: int) -> None:
    """WITH TIES may give more rows than its count, so the cap goes around it."""
    outer = pg.SelectStmt()
    target = outer.target_list.add().res_target
    target.location = target.val.column_ref.location = -1
    target.val.column_ref.fields.add().a_star.SetInParent()
    source = outer.from_clause.add().range_subselect
    source.subquery.select_stmt.CopyFrom(statement.select_stmt)
    source.alias.aliasname = _WRAPPER
    outer.limit_count.CopyFrom(_integer(cap))
    outer.limit_option = pg.LIMIT_OPTION_COUNT
    outer.op = pg.SETOP_NONE
    statement.select_stmt.CopyFrom(outer)


def _integer(value: int) -> Node:
    node = pg.Node()
    node.a_const.ival.ival = value
    # PostgreSQL's own mark of what stands nowhere in the text; 0 would be its beginning.
    node.a_const.location = -1
    return node


def _is_null(node: Node) -> bool:
    return bool(node.WhichOneof("node") == "a_const" and node.a_const.isnull)


def _number(node: Node) -> Decimal | None:
    if node.WhichOneof("node") != "a_const":
        return None
    kind = node.a_const.WhichOneof("val")
    if kind == "ival":
        return Decimal(node.a_const.ival.ival)
    if kind == "fval":
        try:
            return Decimal(node.a_const.fval.fval)
        except InvalidOperation:
            return None
    return None


def _is_capped(node: Node, cap: int) -> bool:
    """Whether the count is LEAST(…, cap) already, so that capping twice changes nothing."""
    if node.WhichOneof("node") != "min_max_expr" or node.min_max_expr.op != pg.IS_LEAST:
        return False
    values = (_number(argument) for argument in node.min_max_expr.args)
    return any(value is not None and value <= cap for value in values)
