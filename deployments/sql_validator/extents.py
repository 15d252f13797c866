"""How long the values of a statement can get, from its tree alone.

A bound, not an estimate: what is put together from rows counts as long however few the rows are, since only
the data can tell.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from deployments.sql_validator.grammar import Node, children, pg, strings, unwrap
from deployments.sql_validator.policy import CallSizes
from deployments.sql_validator.resolver import Resolver
from deployments.sql_validator.scopes import Column
from deployments.sql_validator.tree import descendants

# NUMERIC holds 131,072 digits before the point and 16,383 behind it.
_MOST_DIGITS = 147_455
_LONG = 10_000_000


class Extent(NamedTuple):
    """Bounds of one value: as text, as an array or JSON, and as the number that the text may stand for."""

    characters: int
    elements: int
    digits: int

    def __or__(self, other: "Extent") -> "Extent":
        """The bound of a value that is one or the other."""
        return Extent(*map(max, self, other))


_NOTHING = Extent(0, 0, 0)
# Truth values, dates, whole numbers and floating point.
_SHORT = Extent(40, 1, 40)
# A column of a table: what the database holds is no attacker's choice.
_NOMINAL = Extent(200, 10, 200)
_NUMBER = Extent(_MOST_DIGITS, 1, _MOST_DIGITS)
_ROWS = 10_000
# Put together from rows.
LONG = Extent(_LONG, _LONG, _MOST_DIGITS)
# Grown in a recursion, which may double it each time: 20 rounds of nothing are more than all rows.
_GROWN = Extent(2 * _LONG, 2 * _LONG, _MOST_DIGITS)

# Taken for any exponent that is not written as a whole number.
_EXPONENT = 100
# Most that a call adds to its arguments by itself, as lpad does.
_PADDING = 100

_SHORT_TYPES = frozenset(
    {"bool", "float4", "float8", "int2", "int4", "int8", "uuid"}
    | {"date", "interval", "time", "timestamp", "timestamptz", "timetz"}
)
_NUMERIC_TYPES = frozenset({"numeric", "numrange"})
_LISTS = frozenset({"json", "jsonb"})
_SCIENTIFIC = re.compile(r"e\+?(\d+)", re.IGNORECASE)
_FIGURES = re.compile(r"[0-9e]", re.IGNORECASE)
# Their second argument is looked for, and no part of what they give.
_REPLACING = frozenset({"replace", "regexp_replace", "translate"})
# What a value of a recursion can be without any call.
_LEAVES = (pg.ColumnRef, pg.A_Const, pg.TypeCast)
_ALTERNATIVES = (pg.CaseExpr, pg.CaseWhen, pg.CoalesceExpr, pg.MinMaxExpr, pg.CollateClause, pg.NamedArgExpr)
_FIXED_KINDS = (pg.BoolExpr, pg.NullTest, pg.BooleanTest, pg.SQLValueFunction, pg.GroupingFunc)
_COMPARISONS = frozenset(
    {
        pg.AEXPR_OP_ANY,
        pg.AEXPR_OP_ALL,
        pg.AEXPR_DISTINCT,
        pg.AEXPR_NOT_DISTINCT,
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


def operands(call: Node) -> list[Node]:
    """The arguments of a call, of an operator, of a cast or of a comparison with a subquery."""
    kind = call.__class__
    if kind is pg.FuncCall:
        ordered = [item.sort_by.node for item in call.agg_order] if call.agg_within_group else []
        return [unwrap(a) for a in (*call.args, *ordered)]
    if kind is pg.TypeCast:
        return [unwrap(call.arg)]
    if kind is pg.SubLink:
        return [unwrap(call.testexpr), call.subselect.select_stmt] if call.HasField("testexpr") else []
    return [unwrap(side) for side in (call.lexpr, call.rexpr) if side.WhichOneof("node")]


def called_name(call: Node) -> str:
    """The name of a function or operator, without its schema."""
    if call.__class__ is pg.FuncCall:
        return strings(call.funcname)[-1]
    if call.__class__ is pg.A_Expr:
        return strings(call.name)[-1]
    return strings(call.oper_name)[-1] if call.__class__ is pg.SubLink and call.oper_name else ""


def is_array_of_rows(node: Node) -> bool:
    """Whether it is ARRAY(SELECT …)."""
    return bool(node.__class__ is pg.SubLink and node.sub_link_type == pg.ARRAY_SUBLINK)


class Extents:
    """Extents of the expressions of one resolved statement, each worked out once."""

    def __init__(self, resolver: Resolver, sizes: CallSizes) -> None:
        self._resolver = resolver
        self._sizes = sizes
        self._known: dict[int, Extent] = {}
        self._open: set[int] = set()

    def of(self, node: Node) -> Extent:
        """The extent of an expression, or of a subquery's columns together."""
        if node.__class__ is pg.Node:
            node = unwrap(node)
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = self._expression(node)
        return known

    def _expression(self, node: Node) -> Extent:
        kind = node.__class__
        if kind is pg.A_Const:
            return _literal(node)
        if kind is pg.ColumnRef:
            return _widest(self._column(c) for c in self._resolver.meanings.get(id(node), ()))
        if kind is pg.FuncCall:
            return self._called(called_name(node), operands(node))
        if kind is pg.A_Expr:
            return self._operator(node)
        if kind is pg.TypeCast:
            return self._cast(node)
        if kind is pg.SubLink:
            return self._subquery(node)
        if kind is pg.A_Indirection:
            return self.of(node.arg)
        if kind in _FIXED_KINDS:
            return _SHORT
        if kind in _ALTERNATIVES:
            return _widest(self.of(part) for part in children(node) if part.__class__ is pg.Node)
        if kind is pg.SelectStmt:
            return _widest(self._column(c) for c in self._resolver.outputs.get(id(node), ()))
        return _together([self.of(part) for part in children(node) if part.__class__ is pg.Node])

    def _column(self, column: Column) -> Extent:
        known = self._known.get(id(column))
        if known is None:
            if column.recursion is not None:
                known = self._recursion(column.recursion)
            elif column.origins:
                known = _widest(
                    self._column(o) if isinstance(o, Column) else self.of(o) for o in column.origins
                )
            else:
                known = _NOMINAL
            self._known[id(column)] = known
        return known

    def _recursion(self, query: Node) -> Extent:
        """Any column of a recursive CTE: unbounded if anything grows in its query, for it may grow in each
        round; else no more than the longest of what the query names.
        """
        if id(query) in self._open:
            return _NOTHING
        if (known := self._known.get(id(query))) is not None:
            return known
        parts = descendants(query)
        # What depends on the open recursion is not known for good.
        before, self._known = self._known, {}
        self._open.add(id(query))
        named = _widest(self.of(p) for p in parts if p.__class__ in _LEAVES)
        self._open.discard(id(query))
        self._known = before
        extent = self._known[id(query)] = _NOMINAL | named | self._growth(parts)
        return extent

    def _growth(self, parts: list[Node]) -> Extent:
        """What the parts of a recursion can make, repeated without end, beside passing values on."""
        grown = _NOTHING
        for part in parts:
            if part.__class__ is pg.A_ArrayExpr or is_array_of_rows(part):
                return _GROWN
            if part.__class__ is pg.FuncCall or (part.__class__ is pg.A_Expr and part.kind == pg.AEXPR_OP):
                name = called_name(part)
                if name not in self._sizes.tame | self._sizes.numbers:
                    return _GROWN
                if name not in self._sizes.tame:
                    grown = _NUMBER
        return grown

    def _operator(self, node: Node) -> Extent:
        if node.kind in _COMPARISONS:
            return _SHORT
        if node.kind == pg.AEXPR_NULLIF:
            return self.of(node.lexpr)
        return self._called(called_name(node), operands(node))

    def _called(self, name: str, arguments: list[Node]) -> Extent:
        sizes = self._sizes
        if name in sizes.fixed:
            return _SHORT
        given = [self.of(argument) for argument in arguments]
        if name in sizes.rows:
            # Long literals make the value long with few rows.
            one = _together(given)
            return LONG | one._replace(characters=_ROWS * one.characters, elements=_ROWS * one.elements)
        if name in sizes.greatest:
            return _widest(given)
        if name in sizes.numbers:
            digits = sum(e.digits for e in given) + _SHORT.digits
            if name in ("^", "power"):
                digits = given[0].digits * _exponent(arguments[-1])
            digits = min(digits, _MOST_DIGITS)
            return Extent(digits, 1, digits)
        whole = _together(given)
        whole = whole._replace(characters=whole.characters + _PADDING)
        if name in sizes.products:
            # A separator stands between all arguments.
            least = len(given) + 1
            characters = product([max(e.characters, least) for e in given])
            whole = whole._replace(characters=min(max(characters, whole.characters), _LONG * _LONG))
        return whole._replace(digits=self._digits_of_pieces(name, arguments, given, whole.characters))

    def _digits_of_pieces(
        self, name: str, arguments: list[Node], given: list[Extent], characters: int
    ) -> int:
        """Digits of a number made of pieces of text: eight characters can be 1e130000, but not where one
        value is only cleared of signs, as in replace(amount, ',', '').
        """
        pieces = [a for place, a in enumerate(arguments) if not (place == 1 and name in _REPLACING)]
        if sum(not _is_sign(piece) for piece in pieces) > 1:
            return _MOST_DIGITS
        return min(max([characters, *(e.digits for e in given)]), _MOST_DIGITS)

    def _cast(self, node: Node) -> Extent:
        given, name = self.of(node.arg), strings(node.type_name.names)[-1]
        if node.type_name.array_bounds or name in _LISTS:
            return given._replace(elements=max(given.elements, given.characters))
        if name in _SHORT_TYPES:
            return _SHORT
        if name in _NUMERIC_TYPES:
            digits = min(given.digits, _MOST_DIGITS)
            return Extent(digits, 1, digits)
        if name == "bpchar" and node.type_name.typmods:
            width = node.type_name.typmods[0].a_const.ival.ival
            return given._replace(characters=max(given.characters, width))
        return given

    def _subquery(self, node: Node) -> Extent:
        if is_array_of_rows(node):
            return LONG
        if node.sub_link_type != pg.EXPR_SUBLINK:
            return _SHORT
        return self.of(node.subselect.select_stmt)


def _widest(extents: Iterable[Extent]) -> Extent:
    widest = _NOTHING
    for extent in extents:
        widest = widest | extent
    return widest


def product(lengths: list[int]) -> int:
    """Of the two greatest; of the only one with itself."""
    ordered = sorted(lengths, reverse=True)
    return ordered[0] * ordered[min(1, len(ordered) - 1)] if ordered else 0


def _together(parts: list[Extent]) -> Extent:
    """Of values put into one."""
    characters, elements = 0, 0
    for part in parts:
        characters += part.characters
        elements += max(part.elements, 1)
    return Extent(min(characters, _LONG * _LONG), min(elements, _LONG * _LONG), _MOST_DIGITS)


def _exponent(node: Node) -> int:
    if node.__class__ is pg.A_Const and node.WhichOneof("val") == "ival":
        return abs(int(node.ival.ival)) + 1
    return _EXPONENT


def _is_sign(node: Node) -> bool:
    """Whether it is a literal without anything of a number but its point and sign."""
    return bool(node.__class__ is pg.A_Const and node.WhichOneof("val") == "sval") and not _FIGURES.search(
        node.sval.sval
    )


def _literal(node: Node) -> Extent:
    kind = node.WhichOneof("val")
    if kind == "sval":
        text = node.sval.sval
    elif kind == "fval":
        text = node.fval.fval
    else:
        return _SHORT._replace(characters=10, digits=10)
    elements = text.count(",") + 1
    exponents = [int(number[:9]) for number in _SCIENTIFIC.findall(text)]
    return Extent(len(text), elements, min(max([len(text), *exponents]), _MOST_DIGITS))
