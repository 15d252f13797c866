"""The one form of a house model prompt, for training and for inference.

A question alone is its linked text. A follow-up has the meaning of the exchange before in front, in the
specification's tokens, and then `THEN`: ``<expenses> ... <D1><then> only the paid ones <D0> <d:month>``. The
new question keeps its placeholders; those of the meaning before come after them, and what both name shares
one. The tokenizer frames the whole, so no other marks are needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from deployments.prompt_builder.linking.rendering import MAX_LINKS, LinkedQuestion
from deployments.prompt_builder.query_spec import tokens
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.nodes import Placeholder, QuerySpec
from deployments.prompt_builder.query_spec.walk import rebuild, walk
from serve_app.contracts import Link

THEN: Final = "<then>"
FORM_TOKENS: Final = (THEN,)

NodeT = TypeVar("NodeT")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an earlier question meant: its specification and what its placeholders stand for."""

    spec: QuerySpec
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptForm:
    """A prompt's text and all links that its placeholders stand for."""

    text: str
    links: tuple[Link, ...]
    has_previous: bool = False


def prompt_form(linked: LinkedQuestion, previous: Meaning | None, context: SpecContext) -> PromptForm:
    """The prompt for a question; ``previous`` is left out where too few placeholders are free for it.

    Raises:
        SpecError: the previous specification has no token form.
    """
    joined = join_links(linked.links, previous) if previous is not None else None
    if previous is None or joined is None:
        return PromptForm(linked.text, linked.links)
    names, links = joined
    meaning = tokens.encode(renamed(previous.spec, names), context)
    return PromptForm(f"{meaning}{THEN} {linked.text}", links, has_previous=True)


def join_links(links: tuple[Link, ...], previous: Meaning) -> tuple[dict[str, str], tuple[Link, ...]] | None:
    """New names of the placeholders of ``previous``, and the links of both; None if there are too many.

    Links of ``previous`` have the empty span (0, 0): they stand nowhere in the new question.
    """
    known = {link.placeholder: link for link in previous.links}
    names: dict[str, str] = {}
    joined = list(links)
    for name in used_placeholders(previous.spec):
        if name not in known:
            return None
        same = next((link for link in joined if _same(link, known[name])), None)
        if same is not None:
            names[name] = same.placeholder
            continue
        letter = name[0]
        number = sum(link.placeholder[0] == letter for link in joined)
        if number >= MAX_LINKS[letter]:
            return None
        names[name] = f"{letter}{number}"
        joined.append(known[name].model_copy(update={"placeholder": names[name], "span": (0, 0)}))
    return names, tuple(joined)


def used_placeholders(spec: QuerySpec) -> tuple[str, ...]:
    """Placeholders of a specification, in the order of their first use."""
    return tuple(dict.fromkeys(node.name for node in walk(spec) if isinstance(node, Placeholder)))


def renamed(node: NodeT, names: dict[str, str]) -> NodeT:
    """The specification with its placeholders renamed; names that are not given stay."""

    def change(child: Any) -> Any:
        if isinstance(child, Placeholder):
            return Placeholder(names.get(child.name, child.name))
        return rebuild(child, change)

    return rebuild(node, change)


def _same(first: Link, second: Link) -> bool:
    if first.placeholder[0] != second.placeholder[0]:
        return False
    return (first.candidates, first.number, first.unit, first.dates) == (
        second.candidates,
        second.number,
        second.unit,
        second.dates,
    )


def links_of(names: Sequence[str], links: Sequence[Link]) -> tuple[Link, ...]:
    """The links of these placeholders."""
    wanted = set(names)
    return tuple(link for link in links if link.placeholder in wanted)
