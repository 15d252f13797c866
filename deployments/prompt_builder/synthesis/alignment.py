"""Fits a sampled specification to what the linker found in its question."""

import re
from dataclasses import dataclass
from typing import Any

from deployments.prompt_builder.query_spec.nodes import Placeholder, QuerySpec
from deployments.prompt_builder.query_spec.walk import rebuild, walk
from deployments.prompt_builder.synthesis.slots import Extracted, Slot
from serve_app.contracts import Link

_FUNCTION_WORDS = frozenset(
    ["in", "on", "for", "during", "the", "of", "from", "over", "dated", "back", "within", "at"]
)
_WORD = re.compile(r"[^\W_]+")
_PUNCTUATION = "?.!,;: "


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a pair was dropped: the slot's kind and what the linker did instead."""

    kind: str
    reason: str


def align(
    spec: QuerySpec, slots: list[Slot], extracted: Extracted, links: tuple[Link, ...]
) -> dict[str, str] | Mismatch:
    """Sampler's placeholder name -> the linker's, for all slots that the specification uses."""
    names: dict[str, str] = {}
    used = {node.name for node in walk(spec) if isinstance(node, Placeholder)}
    for index, slot in enumerate(slots):
        if f"S{index}" not in used:
            continue
        span = extracted.spans.get(index)
        if span is None:
            return Mismatch(slot.kind, "not said")
        link = _find(slot, span, extracted.text, links)
        if isinstance(link, str):
            return Mismatch(slot.kind, link)
        names[f"S{index}"] = link.placeholder
    return names


def _find(slot: Slot, span: tuple[int, int], text: str, links: tuple[Link, ...]) -> Link | str:
    start, end = span
    overlapping = [k for k in links if k.span[0] < end and start < k.span[1]]
    same = [k for k in overlapping if k.placeholder[0] == slot.kind]
    if slot.kind == "D":
        return _date(span, text, overlapping, same, links)
    fitting = [k for k in same if fits(slot, k)]
    if fitting:
        return fitting[0] if len(overlapping) == 1 else "split"
    # A value said twice is linked where it is said first.
    elsewhere = [k for k in links if k.placeholder[0] == slot.kind and fits(slot, k)]
    if elsewhere and not overlapping:
        return elsewhere[0]
    return "other value" if same else "other kind" if overlapping else "unlinked"


def _date(
    span: tuple[int, int], text: str, overlapping: list[Link], same: list[Link], links: tuple[Link, ...]
) -> Link | str:
    start, end = span
    if len(same) == 1 and len(overlapping) == 1:
        link = same[0]
        rest = f"{text[start : max(start, link.span[0])]} {text[min(end, link.span[1]) : end]}"
        words = [w for w in _WORD.findall(rest.lower()) if w not in _FUNCTION_WORDS]
        link_end = link.span[0] + len(link.text.rstrip(_PUNCTUATION))
        return link if not words and link.span[0] >= start - 9 and link_end <= end else "partly linked"
    if not overlapping:
        said = text[start:end].lower()
        again = [k for k in links if k.placeholder[0] == "D" and k.text.lower() in said]
        return again[0] if len(again) == 1 else "unlinked"
    return "split" if len(overlapping) > 1 else "other kind"


def fits(slot: Slot, link: Link) -> bool:
    """Whether the link stands for the slot's value."""
    if slot.kind == "N":
        return link.number is not None and float(link.number) == float(slot.value)
    if slot.value.startswith("~"):
        return any(c.table == slot.table and c.column == slot.column for c in link.candidates)
    return any((c.table, c.column, c.value) == (slot.table, slot.column, slot.value) for c in link.candidates)


def renamed(spec: QuerySpec, names: dict[str, str]) -> QuerySpec:
    """The specification with its placeholders renamed."""

    def change(node: Any) -> Any:
        if isinstance(node, Placeholder):
            return Placeholder(names[node.name])
        return rebuild(node, change)

    return rebuild(spec, change)
