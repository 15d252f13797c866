"""Aligns the names and numbers of a question with the literals of its verified statement."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from deployments.prompt_builder.verified.columns import StoredColumns
from deployments.prompt_builder.verified.slots import Slot
from serve_app.contracts import Link

Aligned = list[tuple[exp.Expr, Slot]]

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_PATTERNS = (exp.Like, exp.ILike)


def align_names(
    tree: exp.Expr, links: Sequence[Link], columns: StoredColumns, taken: set[int]
) -> Aligned | None:
    """A slot for every literal that a name link says; None where one is used in another way as well."""
    literals = [node for node in tree.find_all(exp.Literal) if node.is_string and id(node) not in taken]
    found: Aligned = []
    claimed: set[int] = set()
    for link in links:
        if link.placeholder[0] != "V":
            continue
        said = {text.casefold() for text in (link.text.strip(), *(c.value for c in link.candidates)) if text}
        holding = [node for node in literals if any(text in node.name.casefold() for text in said)]
        slots = [_name_slot(node, link, columns) for node in holding]
        if not holding or claimed & {id(node) for node in holding} or len(set(map(_kind, slots))) != 1:
            return None
        claimed |= {id(node) for node in holding}
        for node, slot in zip(holding, slots, strict=True):
            if slot is None:
                return None
            found.append((node, slot))
    return found


def align_numbers(
    tree: exp.Expr, links: Sequence[Link], columns: StoredColumns, taken: set[int]
) -> Aligned | None:
    """A slot for the one literal of a number link's value; None if there are more, or it is a factor."""
    literals = [
        node for node in tree.find_all(exp.Literal) if id(node) not in taken and not _is_structural(node)
    ]
    found: Aligned = []
    for link in links:
        if link.placeholder[0] != "N":
            continue
        value = _decimal(link.number or "")
        equal = [node for node in literals if value is not None and _decimal(node.name) == value]
        slot = _number_slot(equal[0], link) if len(equal) == 1 else None
        if slot is None or any(equal[0] is node for node, _ in found):
            return None
        found.append((equal[0], slot))
    return found


def _kind(slot: Slot | None) -> object:
    """What all slots of one link share."""
    return slot and (slot.role, slot.column)


def _name_slot(node: exp.Expr, link: Link, columns: StoredColumns) -> Slot | None:
    parent = node.parent
    if not isinstance(parent, (exp.EQ, exp.NEQ, exp.In, *_PATTERNS)):
        return None
    column = columns.of(parent.this) or columns.of(parent.args.get("expression"))
    is_pattern = isinstance(parent, _PATTERNS)
    core = node.name.strip("%") if is_pattern else node.name
    before, _, after = node.name.partition(core) if core else ("", "", "")
    for candidate in link.candidates:
        same = candidate.value == core or (
            isinstance(parent, exp.ILike) and candidate.value.casefold() == core.casefold()
        )
        if same and (candidate.table, candidate.column) == column:
            return Slot(link.placeholder, "value", column, before, after, is_pattern)
    if is_pattern and core.casefold() == link.text.strip().casefold():
        return Slot(link.placeholder, "said", column, before, after, is_pattern)
    return None


def _number_slot(node: exp.Expr, link: Link) -> Slot | None:
    parent = node.parent
    if isinstance(node, exp.Literal) and node.is_string:
        return None
    if isinstance(parent, (exp.Limit, exp.Fetch)):
        return Slot(link.placeholder, "row_count")
    compared = isinstance(parent, (*_COMPARISONS, exp.Between, exp.In))
    return Slot(link.placeholder, "number") if compared else None


def _is_structural(node: exp.Expr) -> bool:
    """Decimals of a rounding and positions of outputs: numbers of the statement that no question says."""
    return node.arg_key == "decimals" or isinstance(node.parent, (exp.Group, exp.Ordered))


def _decimal(text: str) -> Decimal | None:
    """The number that a literal, or the count of an interval, begins with."""
    try:
        number = Decimal(text.split()[0]) if text.strip() else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
