"""Slots: the places of a realized question that the linker must find again.

While a question is put together, a slot's surface stands between private-use characters, so that casing,
typos and word order can change around it; `extract` removes the marks and says where each slot ended up.
"""

import re
from dataclasses import dataclass
from typing import Literal

from deployments.prompt_builder.query_spec.nodes import Placeholder

_OPEN, _CLOSE = "\ue000", "\ue001"
_BASE = 0xE100
MARKED = re.compile(f"{_OPEN}(.)(.*?){_CLOSE}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Slot:
    """A value said in words. ``value``: the stored value (V) or the decimal literal (N); none for dates."""

    kind: Literal["V", "N", "D"]
    surface: str
    value: str = ""
    table: str = ""
    column: str = ""


class SlotTable:
    """The slots of one question under construction; numbers them in order of creation."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []

    def add(self, slot: Slot) -> Placeholder:
        self.slots.append(slot)
        return Placeholder(f"S{len(self.slots) - 1}")

    def mark(self, placeholder: Placeholder) -> str:
        index = int(placeholder.name[1:])
        return f"{_OPEN}{chr(_BASE + index)}{self.slots[index].surface}{_CLOSE}"


@dataclass(frozen=True, slots=True)
class Extracted:
    """A text and where each of its slots stands."""

    text: str
    spans: dict[int, tuple[int, int]]


def extract(marked: str) -> Extracted:
    """The plain text and where each slot stands in it."""
    parts: list[str] = []
    spans: dict[int, tuple[int, int]] = {}
    length = position = 0
    for match in MARKED.finditer(marked):
        before = marked[position : match.start()]
        surface = match.group(2)
        parts += (before, surface)
        length += len(before)
        spans.setdefault(ord(match.group(1)) - _BASE, (length, length + len(surface)))
        length += len(surface)
        position = match.end()
    parts.append(marked[position:])
    return Extracted("".join(parts), spans)
