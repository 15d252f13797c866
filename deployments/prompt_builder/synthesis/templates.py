"""Phrase templates: short strings that stand for many wordings.

``(a|b|c)`` is one of the alternatives, ``[x]`` is x or nothing, ``{name}`` is filled by the caller. A
template may end in `` ; requirement, requirement`` (its conditions of use), which `split_requirements` takes
off.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

_TOKEN = re.compile(r"[()\[\]|{}]|[^()\[\]|{}]+")

Filler = str | Callable[[], str]


class TemplateError(ValueError):
    """A phrase template is not well formed."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Words as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class _Hole:
    """A place that is filled by name."""

    name: str


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of several ways to say it."""

    options: "tuple[tuple[_Node, ...], ...]"


_Node = _Text | _Hole | _Choice


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. ``holes`` are the names it needs."""

    source: str
    nodes: tuple[_Node, ...]
    holes: frozenset[str]

    def render(self, rng: random.Random, fillers: Mapping[str, Filler]) -> str:
        parts: list[str] = []
        _render(self.nodes, rng, fillers, parts)
        return "".join(parts)


def _render(
    nodes: tuple[_Node, ...], rng: random.Random, fillers: Mapping[str, Filler], parts: list[str]
) -> None:
    for node in nodes:
        if isinstance(node, _Text):
            parts.append(node.text)
        elif isinstance(node, _Hole):
            filler = fillers[node.name]
            parts.append(filler if isinstance(filler, str) else filler())
        else:
            _render(node.options[int(rng.random() * len(node.options))], rng, fillers, parts)


@cache
def template(source: str) -> Template:
    """Parse a template.

    Raises:
        TemplateError: unbalanced brackets.
    """
    tokens = _TOKEN.findall(source)
    holes: set[str] = set()
    nodes, position = _parse(tokens, 0, source, holes)
    if position != len(tokens):
        raise TemplateError(f"unbalanced {tokens[position]!r} in phrase {source!r}; close every bracket")
    return Template(source, nodes, frozenset(holes))


def _parse(tokens: list[str], position: int, source: str, holes: set[str]) -> tuple[tuple[_Node, ...], int]:
    nodes: list[_Node] = []
    while position < len(tokens):
        token = tokens[position]
        if token in (")", "]", "|", "}"):
            break
        if token == "{":
            if position + 2 >= len(tokens) or tokens[position + 2] != "}":
                raise TemplateError(f"open {{ in phrase {source!r}; close every bracket")
            holes.add(tokens[position + 1])
            nodes.append(_Hole(tokens[position + 1]))
            position += 3
        elif token in ("(", "["):
            node, position = _parse_choice(tokens, position, source, holes)
            nodes.append(node)
        else:
            nodes.append(_Text(token))
            position += 1
    return tuple(nodes), position


def _parse_choice(tokens: list[str], position: int, source: str, holes: set[str]) -> tuple[_Choice, int]:
    close = ")" if tokens[position] == "(" else "]"
    options: list[tuple[_Node, ...]] = []
    position += 1
    while True:
        option, position = _parse(tokens, position, source, holes)
        options.append(option)
        if position >= len(tokens):
            raise TemplateError(f"missing {close!r} in phrase {source!r}; close every bracket")
        token = tokens[position]
        position += 1
        if token == close:
            break
        if token != "|":
            raise TemplateError(f"unexpected {token!r} in phrase {source!r}; close every bracket")
    if close == "]":
        options.append(())
    return _Choice(tuple(options)), position


def split_requirements(source: str) -> tuple[str, tuple[str, ...]]:
    """("text", requirements) of "text ; requirement, requirement"."""
    text, _, rest = source.partition(" ; ")
    return text.strip(), tuple(part.strip() for part in rest.split(",") if part.strip())
