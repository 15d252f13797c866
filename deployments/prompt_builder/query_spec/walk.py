"""Visiting and rebuilding the nodes of a query specification."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

from deployments.prompt_builder.query_spec import nodes
from deployments.prompt_builder.query_spec.nodes import Aggregate, Subquery

NodeT = TypeVar("NodeT")


_CHILD_FIELDS: dict[type, tuple[str, ...]] = {}


def _child_fields(kind: type) -> tuple[str, ...]:
    """Fields of a node class that may hold nodes; the others hold plain words."""
    if kind not in _CHILD_FIELDS:
        hints = get_type_hints(kind, vars(nodes))
        _CHILD_FIELDS[kind] = tuple(
            field.name
            for field in fields(kind)
            if hints[field.name] not in (str, bool) and get_origin(hints[field.name]) is not Literal
        )
    return _CHILD_FIELDS[kind]


def children(node: Any) -> Iterator[Any]:
    """The direct child nodes, in writing order."""
    for name in _child_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, tuple):
            yield from value
        elif value is not None and not isinstance(value, str):
            yield value


def walk(node: Any, stop: tuple[type, ...] = ()) -> Iterator[Any]:
    """The node and all below it; nodes of the ``stop`` types come too, but not what is below them."""
    yield node
    if not isinstance(node, stop):
        for child in children(node):
            yield from walk(child, stop)


def own_nodes(node: Any) -> Iterator[Any]:
    """All nodes that belong to the same query as ``node``: not those inside subqueries."""
    return walk(node, (Subquery,))


def row_nodes(node: Any) -> Iterator[Any]:
    """All nodes outside of aggregates and subqueries; the aggregates themselves come too."""
    return walk(node, (Subquery, Aggregate))


def rebuild(node: NodeT, change: Callable[[Any], Any]) -> NodeT:
    """A copy of ``node`` with every direct child replaced by ``change(child)``."""
    changes: dict[str, Any] = {}
    for name in _child_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, tuple):
            changes[name] = tuple(change(item) for item in value)
        elif value is not None and not isinstance(value, str):
            changes[name] = change(value)
    return replace(node, **changes) if changes else node  # type: ignore[type-var]  # every node is a dataclass
