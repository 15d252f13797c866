"""Rules against statements that are short to write and endless to run.

They catch the plain cases; time, memory and row limits of the executor end the others.
"""

import re

from deployments.sql_validator.grammar import Node, pg, strings, unwrap
from deployments.sql_validator.rules.base import TOO_COMPLEX, ParsedStatement, TreeRule, violation
from deployments.sql_validator.tree import descendants
from serve_app.contracts import Violation

# Padding to a column's width needs less; 100 characters on a million rows stay under the executor's memory
# bound.
_PADDING = 100
# Exponents in analyses are 2, 0.5 or 1.0 / years; numeric powers with thousands of digits take seconds each.
_EXPONENT = 1_000
_PADDED = frozenset({"lpad", "rpad"})
_PLAIN_FORMAT = re.compile(r"(?:[^%]|%%|%(?:\d\$)?[sIL])*")


def relations(statement: ParsedStatement) -> list[Violation]:
    count = sum(len(statement.of(kind)) for kind in ("RangeVar", "RangeSubselect", "RangeFunction"))
    if count <= statement.config.max_relations:
        return []
    reason = f"{count} tables and subqueries in FROM, at most {statement.config.max_relations} are allowed"
    return [violation("size", reason, TOO_COMPLEX)]


def grouping_sets(statement: ParsedStatement) -> list[Violation]:
    """CUBE of n columns makes 2^n groupings, and the items of one GROUP BY multiply."""
    limit = statement.config.max_grouping_sets
    if not statement.of("GroupingSet"):
        return []
    for select in statement.of("SelectStmt"):
        count = 1
        for item in select.group_clause:
            count *= _groupings(unwrap(item))
        if count > limit:
            reason = f"GROUP BY makes {count} grouping sets, at most {limit} are allowed"
            return [violation("size", reason, TOO_COMPLEX)]
    return []


def _groupings(item: Node) -> int:
    if type(item).__name__ != "GroupingSet":
        return 1
    if item.kind == pg.GROUPING_SET_CUBE:
        return 1 << min(len(item.content), 62)
    if item.kind == pg.GROUPING_SET_ROLLUP:
        return len(item.content) + 1
    if item.kind == pg.GROUPING_SET_SETS:
        return sum(_groupings(unwrap(part)) for part in item.content)
    return 1


def series_rows(statement: ParsedStatement) -> list[Violation]:
    """generate_series with literal bounds gives at most ``max_series_rows``."""
    found = []
    for call in statement.of("TableFunction"):
        if strings(call.funcname)[-1] != "generate_series":
            continue
        numbers = [_number(a) for a in call.args]
        start, stop, step = (*numbers, 1.0)[:3] if len(numbers) >= 2 else (None, None, None)
        if start is None or stop is None or not step:
            continue
        rows = (stop - start) / step + 1
        if rows > statement.config.max_series_rows:
            reason = (
                f"generate_series gives {rows:.0f} rows, "
                f"at most {statement.config.max_series_rows} are allowed"
            )
            found.append(violation("size", reason, TOO_COMPLEX, statement.position(call)))
    return found


def _number(node: Node) -> float | None:
    """Value of a numeric literal, also as '…'::numeric, infinite if very large; None for anything else."""
    value = unwrap(node)
    while type(value).__name__ == "TypeCast":
        value = unwrap(value.arg)
    if type(value).__name__ != "A_Const":
        return None
    kind = value.WhichOneof("val")
    if kind == "ival":
        return float(value.ival.ival)
    try:
        return float(value.fval.fval if kind == "fval" else value.sval.sval if kind == "sval" else "")
    except ValueError:
        return None


def _integer(node: Node) -> int | None:
    """Value of a whole-number literal, however large; None for anything else."""
    value = unwrap(node)
    while type(value).__name__ == "TypeCast":
        value = unwrap(value.arg)
    if type(value).__name__ != "A_Const":
        return None
    kind = value.WhichOneof("val")
    if kind == "ival":
        return int(value.ival.ival)
    if kind == "fval" and value.fval.fval.lstrip("-").isdigit():
        return int(value.fval.fval)
    return None


def padding(statement: ParsedStatement) -> list[Violation]:
    """lpad and rpad to a small literal length."""
    found = []
    for call in statement.of("FuncCall"):
        name = strings(call.funcname)[-1]
        if name in _PADDED:
            length = _integer(call.args[1]) if len(call.args) > 1 else None
            if length is None or length > _PADDING:
                reason = f"the length given to {name} must be a number up to {_PADDING}"
                found.append(violation("size", reason, TOO_COMPLEX, statement.position(call)))
    return found


def plain_format(statement: ParsedStatement) -> list[Violation]:
    """format with a literal and no widths: %1000000000s makes a gigabyte."""
    found = []
    for call in statement.of("FuncCall"):
        if strings(call.funcname)[-1] != "format":
            continue
        text = _string(call.args[0]) if call.args else None
        if text is None or not _PLAIN_FORMAT.fullmatch(text):
            reason = "format needs a literal with plain %s places"
            found.append(violation("size", reason, TOO_COMPLEX, statement.position(call)))
    return found


def _string(node: Node) -> str | None:
    value = unwrap(node)
    if type(value).__name__ != "A_Const" or value.WhichOneof("val") != "sval":
        return None
    return str(value.sval.sval)


def exponents(statement: ParsedStatement) -> list[Violation]:
    """No literal over 1,000 in the exponent of a power."""
    powers = [(e, e.rexpr) for e in statement.of("A_Expr") if [n.string.sval for n in e.name] == ["^"]]
    powers += [
        (c, c.args[1])
        for c in statement.of("FuncCall")
        if strings(c.funcname)[-1] == "power" and len(c.args) > 1
    ]
    found = []
    for node, exponent in powers:
        if any(_large(part) for part in descendants(exponent)):
            reason = f"the exponent of a power may be {_EXPONENT} at most"
            found.append(violation("size", reason, TOO_COMPLEX, statement.position(node)))
    return found


def _large(part: Node) -> bool:
    kind = type(part).__name__
    if kind == "Integer":
        return abs(int(part.ival)) > _EXPONENT
    if kind == "Float":
        return abs(float(part.fval)) > _EXPONENT
    return kind == "String" and len(part.sval) > 4 and part.sval.strip().lstrip("+-").isdigit()


SIZE_RULES: tuple[TreeRule, ...] = (relations, grouping_sets, series_rows, padding, plain_format, exponents)
