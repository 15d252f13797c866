"""Visiting and rebuilding the nodes of a query specification."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from deployments.prompt_builder.query_spec.nodes import Aggregate, Subquery

NodeT = TypeVar("NodeT")


def children(node: Any) -> Iterator[Any]:
    """The direct child nodes, in writing order."""
    for field in fields(node):
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if is_dataclass(item):
                yield item


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
    for field in fields(node):  # type: ignore[arg-type]  # every node is a dataclass
        value = getattr(node, field.name)
        if isinstance(value, tuple):
            changes[field.name] = tuple(change(item) if is_dataclass(item) else item for item in value)
        elif is_dataclass(value):
            changes[field.name] = change(value)
    return replace(node, **changes) if changes else node  # type: ignore[type-var]  # as above
