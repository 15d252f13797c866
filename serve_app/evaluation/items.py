"""Evaluation files: JSON lines of items of four kinds, told by their shape."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ItemKind = Literal["single", "conversation", "clarify", "unanswerable"]


class EvalModel(BaseModel):
    """Base of what an evaluation reads and reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(EvalModel):
    """A question with the statements that answer it."""

    question: str
    gold: tuple[str, ...] = Field(min_length=1)
    ordered: bool = False


class SingleItem(Turn):
    """A question on its own."""

    id: str
    tags: tuple[str, ...] = ()
    difficulty: str | None = None


class ConversationItem(EvalModel):
    """Questions that build on each other; every one after the first counts."""

    id: str
    turns: tuple[Turn, ...] = Field(min_length=1)
    tags: tuple[str, ...] = ()
    difficulty: str | None = None


class ClarifyItem(EvalModel):
    """A question that does or does not need one asked back. ``expect`` is for people to read."""

    id: str
    question: str
    ambiguous: bool
    kind: str = "none"
    expect: str = ""
    tags: tuple[str, ...] = ()
    difficulty: str | None = None


class UnanswerableItem(EvalModel):
    """A question that the data cannot answer: right when it is refused."""

    id: str
    question: str
    answerable: Literal[False]
    tags: tuple[str, ...] = ()
    difficulty: str | None = None


Item = SingleItem | ConversationItem | ClarifyItem | UnanswerableItem


class EvaluationFileError(Exception):
    """A file cannot be used; the message names the file, the line and what is wrong."""


def load_items(path: Path) -> tuple[Item, ...]:
    """Read one evaluation file.

    Raises:
        EvaluationFileError: it cannot be read, a line fits no shape, or an id occurs twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise EvaluationFileError(f"{path} cannot be read: {reason}") from error
    items = tuple(_items(path, text))
    if not items:
        raise EvaluationFileError(f"{path} holds no questions")
    return items


def spread(items: tuple[Item, ...], limit: int | None) -> tuple[Item, ...]:
    """At most ``limit`` of the items, evenly over the file, whose order is often that of difficulty."""
    if limit is None or limit >= len(items):
        return items
    return tuple(items[place * len(items) // limit] for place in range(limit))


def _items(path: Path, text: str) -> Iterator[Item]:
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = _item(json.loads(line))
        except json.JSONDecodeError as error:
            raise EvaluationFileError(f"{path}, line {number}: not JSON ({error.msg})") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "line"
            raise EvaluationFileError(f"{path}, line {number}: {place}: {first['msg']}") from error
        if item.id in seen:
            raise EvaluationFileError(f"{path}, line {number}: the id {item.id!r} occurs twice")
        seen.add(item.id)
        yield item


def _item(fields: Any) -> Item:
    keys = fields.keys() if isinstance(fields, dict) else ()
    if "turns" in keys:
        return ConversationItem.model_validate(fields)
    if "ambiguous" in keys:
        return ClarifyItem.model_validate(fields)
    if "answerable" in keys:
        return UnanswerableItem.model_validate(fields)
    return SingleItem.model_validate(fields)
