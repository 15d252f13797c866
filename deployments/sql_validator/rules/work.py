"""No more work for one row than the server may do without looking whether it should stop.

Its own functions look for no time limit while they run, and several of them compare every part of one value
with every part of another. Only values that a statement makes long by itself can be long enough to matter.
"""

from collections.abc import Iterator

from deployments.sql_validator.extents import LONG, Extents, called_name, is_array_of_rows, operands, product
from deployments.sql_validator.grammar import Node
from deployments.sql_validator.resolver import Resolver, TooManyColumns
from deployments.sql_validator.rules.base import ParsedStatement, TreeRule, violation
from serve_app.contracts import Violation

# Steps of one row, each a nanosecond or two: looking at a character, comparing an element. A value put
# together from rows meets 39 characters or elements, or is gone through 40 times.
_MOST_STEPS = 40 * LONG.characters
# Numbers are calculated with in groups of four digits.
_DIGITS_AT_ONCE = 16
# To read a part of JSON and to write it anew.
_STEPS_OF_BUILDING = 10
# Fixed-width text and numbers beyond these widths are as good as put together from rows.
_WIDTH = 1_000
# Fewer multiplications cannot make a number of a column long enough to matter.
_FACTORS = 8
TOO_MUCH_WORK = "That query would keep the database busy for too long. Ask for less at once."


def bounded_work(statement: ParsedStatement) -> list[Violation]:
    """The steps of all calls together, each done once."""
    if not _makes_long_values(statement):
        return []
    resolver = Resolver(statement)
    try:
        resolver.run(statement.select)
    except TooManyColumns:
        return []
    extents = Extents(resolver, statement.rights.sizes)
    works = [(_steps(statement, call, extents), call) for call in _calls(statement)]
    if sum(steps for steps, _ in works) <= _MOST_STEPS:
        return []
    steps, call = max(works, key=lambda work: work[0])
    if steps > _MOST_STEPS:
        reason = (
            f"{called_name(call)} would go through long values part by part; in a value put together from "
            "many rows search only for a short literal"
        )
    else:
        reason = (
            "too many calls go through values put together from many rows; use fewer, or shorten the values"
        )
    return [violation("size", reason, TOO_MUCH_WORK, statement.position(call))]


def _makes_long_values(statement: ParsedStatement) -> bool:
    """Whether anything can be longer than the statement's own text and the columns it reads."""
    tame = statement.rights.sizes.tame
    operators = [called_name(e) for e in statement.of("A_Expr")]
    return (
        any(
            called_name(call) not in tame
            for call in (*statement.of("FuncCall"), *statement.of("TableFunction"))
        )
        or "||" in operators
        or "^" in operators
        or operators.count("*") > _FACTORS
        or any(map(is_array_of_rows, statement.of("SubLink")))
        or any(w.recursive for w in statement.of("WithClause"))
        or any(t.typmods and t.typmods[0].a_const.ival.ival > _WIDTH for t in statement.of("TypeName"))
        or any("e" in f.fval.lower() for f in statement.of("Float"))
        or any("e" in s.sval.lower() and any(c.isdigit() for c in s.sval) for s in statement.of("String"))
    )


def _calls(statement: ParsedStatement) -> Iterator[Node]:
    for kind in ("FuncCall", "TableFunction", "A_Expr", "TypeCast", "SubLink"):
        yield from statement.of(kind)


def _steps(statement: ParsedStatement, call: Node, extents: Extents) -> int:
    given = [extents.of(operand) for operand in operands(call)]
    sizes, name = statement.rights.sizes, called_name(call)
    steps = sum(e.characters for e in given) * (_STEPS_OF_BUILDING if name in sizes.builders else 1)
    if name in sizes.characters_by_characters and len(given) > 1:
        steps += product([e.characters for e in given])
    if name in sizes.elements_by_elements and len(given) > 1:
        steps += product([e.elements for e in given])
    if name in sizes.digits_by_digits:
        steps += product([e.digits for e in given]) // _DIGITS_AT_ONCE
    return steps


WORK_RULES: tuple[TreeRule, ...] = (bounded_work,)
