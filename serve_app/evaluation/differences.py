"""What is wrong with a statement whose rows are not the gold's, told by comparing the two statements.

The classes follow the way of a question: constants come from linking, the rest from the model. The first
rule that holds names the class:

- ``value_linking``: a name, word or number stands where the gold has another one, or with another column
- ``query_shape``: other tables, aggregates, groups, windows or set operations; a top-n more or less
- ``date_range``: the same shape over another period, or by another date column
- ``wrong_filter``: a condition too many, missing, or with another operator
- ``wrong_columns``: neither statement shows all that the other one does
- ``wrong_order``: sorted by something else
- ``wrong_rows``: nothing of this; or one of the statements cannot be parsed

Several golds say the same in different ways; the one that the answer comes closest to is compared, closest
being the one whose class comes last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from sqlglot import exp

from serve_app.evaluation.scoring import without_display_cap
from serve_app.sql_tree import sql_tree

Difference = Literal[
    "value_linking",
    "query_shape",
    "date_range",
    "wrong_filter",
    "wrong_columns",
    "wrong_order",
    "wrong_rows",
]
CLASSES: Final[tuple[Difference, ...]] = get_args(Difference)

_CONDITIONS: Final = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.In, exp.Is)
_DATE_PARTS: Final = (exp.CurrentDate, exp.CurrentTimestamp, exp.Interval, exp.DateTrunc, exp.TimestampTrunc)
# Bounds of the same period written one way or the other.
_OPERATORS: Final[dict[type[exp.Expr], str]] = {
    exp.GTE: ">",
    exp.GT: ">",
    exp.LTE: "<",
    exp.LT: "<",
    exp.ILike: "like",
}

Constant = tuple[str, str]
Facet = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Facets:
    """What a statement is made of, without aliases, table names before columns, and order of writing.

    ``values`` are constants with the columns they stand beside; ``dates`` likewise, as text.
    """

    tables: frozenset[str]
    values: frozenset[Constant]
    limit: str
    computed: Facet
    groups: frozenset[str]
    dates: frozenset[Constant]
    filters: Facet
    columns: frozenset[str]
    order: tuple[str, ...]


def difference(answer: str, golds: Sequence[str]) -> Difference:
    """The class of a wrong answer against the gold that it comes closest to."""
    own = facets(answer)
    others = [facets(gold) for gold in golds]
    if own is None:
        return "wrong_rows"
    found = [_between(own, other) for other in others if other is not None]
    return max(found, key=CLASSES.index, default="wrong_rows")


def _between(own: Facets, gold: Facets) -> Difference:
    rules: tuple[tuple[Difference, bool], ...] = (
        ("value_linking", _is_exchanged(own, gold)),
        ("query_shape", _shape(own) != _shape(gold) or _are_other_tables(own.tables, gold.tables)),
        ("date_range", own.dates != gold.dates),
        ("wrong_filter", own.filters != gold.filters or own.values != gold.values),
        ("wrong_columns", not (gold.columns <= own.columns or own.columns <= gold.columns)),
        ("wrong_order", own.order != gold.order),
    )
    return next((name for name, holds in rules if holds), "wrong_rows")


def _is_exchanged(own: Facets, gold: Facets) -> bool:
    """True if a constant stands in another's place; one that is only missing is a condition's fault."""
    if own.limit and gold.limit and own.limit != gold.limit:
        return True
    return bool(own.values - gold.values) and bool(gold.values - own.values)


def _are_other_tables(own: frozenset[str], gold: frozenset[str]) -> bool:
    """True unless one statement merely joins more: then what it joins for, or lacks, tells the class."""
    return not (own <= gold or gold <= own)


def _shape(one: Facets) -> tuple[object, ...]:
    return one.computed, one.groups, bool(one.limit)


def facets(sql: str) -> Facets | None:
    """The facets of a statement; None if it cannot be parsed as one query."""
    tree = sql_tree(without_display_cap(sql))
    if not isinstance(tree, exp.Query):
        return None
    conditions = list(_conditions(tree))
    outer = tree if isinstance(tree, exp.Select) else None
    ctes = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    return Facets(
        tables=frozenset(
            table.name for table in tree.find_all(exp.Table) if table.name and table.name not in ctes
        ),
        values=frozenset(
            (columns, constant.lower())
            for columns, _, other in conditions
            if not _is_date(other)
            for constant in _constants(other)
        ),
        limit=_limit(tree),
        computed=frozenset(_computed(tree)),
        groups=frozenset(_groups(tree)),
        dates=frozenset((columns, _plain(part)) for columns, _, part in conditions if _is_date(part)),
        filters=frozenset(
            (columns, operator) for columns, operator, part in conditions if not _is_date(part)
        ),
        columns=frozenset(_key(item) for item in outer.expressions) if outer else frozenset(),
        order=tuple(_order(tree)),
    )


def _conditions(tree: exp.Expr) -> Iterator[tuple[str, str, exp.Expr]]:
    """Columns, operator and the other side of every comparison, join conditions aside."""
    for node in tree.find_all(*_CONDITIONS, exp.Between, exp.Exists):
        if isinstance(node, exp.Exists):
            yield "", "not exists" if isinstance(node.parent, exp.Not) else "exists", exp.Null()
            continue
        columns = _key(node.this)
        if isinstance(node, exp.Between):
            yield columns, ">", node.args["low"]
            yield columns, "<", node.args["high"]
        elif isinstance(node, exp.In):
            negated = "not " if isinstance(node.parent, exp.Not) else ""
            yield (
                columns,
                f"{negated}{'in' if node.args.get('query') else 'eq'}",
                exp.Tuple(expressions=[item.copy() for item in node.expressions]),
            )
        elif not (isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Column)):
            yield columns, _operator(node), node.expression


def _operator(node: exp.Expr) -> str:
    negated = "not " if isinstance(node.parent, exp.Not) else ""
    return negated + _OPERATORS.get(type(node), node.key)


def _is_date(part: exp.Expr) -> bool:
    if any(isinstance(node, _DATE_PARTS) for node in part.walk()):
        return True
    casts = part.find_all(exp.Cast)
    if any(cast.is_type("date", "timestamp", "timestamptz") for cast in casts):
        return True
    return any(literal.is_string and _looks_like_date(literal.name) for literal in part.find_all(exp.Literal))


def _looks_like_date(text: str) -> bool:
    return len(text) >= 10 and text[:4].isdigit() and text[4] == text[7] == "-"


def _constants(part: exp.Expr) -> Iterator[str]:
    for node in _own(part):
        if isinstance(node, exp.Literal | exp.Boolean):
            yield node.sql()


def _own(part: exp.Expr) -> Iterator[exp.Expr]:
    """The expression without the insides of its subqueries, whose conditions are met on their own."""
    return part.walk(prune=lambda node: isinstance(node, exp.Query))


def _limit(tree: exp.Query) -> str:
    limit = tree.args.get("limit")
    return limit.expression.sql() if isinstance(limit, exp.Limit) else ""


def _computed(tree: exp.Expr) -> Iterator[tuple[str, ...]]:
    """Aggregates with what they run over, windows, set operations."""
    for node in tree.find_all(exp.AggFunc, exp.Window, exp.SetOperation):
        if isinstance(node, exp.Window):
            yield "window", node.this.key
        elif isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window):
            distinct = "distinct" if isinstance(node.this, exp.Distinct) else ""
            yield node.key, distinct, _columns(node)
        elif isinstance(node, exp.SetOperation):
            yield ("set operation", node.key)


def _groups(tree: exp.Expr) -> Iterator[str]:
    """What groups go by; an id beside other columns of its table only tells namesakes apart."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if isinstance(group, exp.Group):
            keys = [_key(_referred(select, item)) for item in group.expressions]
            named = [key for key in keys if key != "id"]
            yield from named or keys
        elif select.args.get("distinct"):
            yield from (_key(item) for item in select.expressions)


def _order(tree: exp.Query) -> Iterator[str]:
    order = tree.args.get("order")
    if isinstance(order, exp.Order):
        for item in order.expressions:
            descending = "desc" if item.args.get("desc") else ""
            yield f"{_key(_referred(tree, item.this))} {descending}".strip()


def _referred(query: exp.Expr, item: exp.Expr) -> exp.Expr:
    """The output that a position or an alias stands for, else the item itself."""
    if not isinstance(query, exp.Select):
        return item
    outputs: list[exp.Expr] = query.expressions
    if isinstance(item, exp.Literal) and item.is_int and 0 < int(item.name) <= len(outputs):
        return outputs[int(item.name) - 1]
    if isinstance(item, exp.Column) and not item.table:
        return next((out for out in outputs if isinstance(out, exp.Alias) and out.alias == item.name), item)
    return item


def _key(item: exp.Expr) -> str:
    """An expression by its functions and columns, whatever its tables and aliases are called."""
    body = item.unalias()
    kinds = (exp.AggFunc, exp.Extract, *_DATE_PARTS)
    names = {f"{node.key} {node.text('unit')}".lower() for node in body.walk() if isinstance(node, kinds)}
    return " ".join(filter(None, (*sorted(names), _columns(body))))


def _columns(part: exp.Expr) -> str:
    return ",".join(sorted({column.name for column in part.find_all(exp.Column)}))


def _plain(part: exp.Expr) -> str:
    """A date without casts and brackets, so that DATE '2025-01-01' reads like '2025-01-01'::date."""
    before, text = "", part.sql(dialect="postgres")
    # What takes a bracket's place is looked into in the next round only.
    while text != before:
        part = part.copy().transform(_bare)
        before, text = text, part.sql(dialect="postgres")
    return str(text).lower()


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Cast | exp.Paren):
        node = node.this
    if isinstance(node, exp.Interval):
        return exp.Literal.string(f"{node.text('this')} {node.text('unit')}".lower().removesuffix("s"))
    if isinstance(node, exp.Literal) and node.is_string:
        # '3 months', '3 month' and INTERVAL '3' MONTH are the same.
        return exp.Literal.string(node.name.lower().removesuffix("s"))
    return node


def by_class(failures: Iterable[str]) -> list[str]:
    """Class names in the order of the rules, others after them by name."""
    known: dict[str, int] = {name: place for place, name in enumerate(CLASSES)}
    return sorted(set(failures), key=lambda name: (known.get(name, len(known)), name))
