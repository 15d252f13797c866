"""What rules of one phase look at, and how they say no."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.grammar import Node, Source, Token
from deployments.sql_validator.policy import Rights
from serve_app.contracts import Violation

Names = Counter[tuple[Literal["table", "column"], str]]


@dataclass(frozen=True, slots=True)
class TokenText:
    """A statement as its tokens, before any parser. ``code`` leaves out the comments."""

    source: Source
    tokens: tuple[Token, ...]
    code: tuple[Token, ...]
    config: ValidatorConfig


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """A statement that PostgreSQL's grammar has read: one SELECT made of known node kinds.

    ``kinds`` lists all messages of the tree by the name of their kind; ``names`` counts what the tree calls
    tables and columns, as in ("column", "budget").
    """

    source: Source
    select: Node
    kinds: Mapping[str, list[Any]]
    names: Names
    rights: Rights
    config: ValidatorConfig

    def of(self, kind: str) -> list[Any]:
        return self.kinds.get(kind, [])

    def position(self, node: Any) -> int:
        return self.source.character(max(node.location, 0))


TextRule = Callable[[str, ValidatorConfig], list[Violation]]
TokenRule = Callable[[TokenText], list[Violation]]
TreeRule = Callable[[ParsedStatement], list[Violation]]

RuleName = Literal[
    "empty",
    "length",
    "characters",
    "tokens",
    "nesting",
    "literal",
    "parameter",
    "comment",
    "syntax",
    "single_statement",
    "select_only",
    "clause",
    "function",
    "type",
    "operator",
    "size",
    "unknown_table",
    "unknown_column",
    "denied_column",
    "ambiguous_column",
    "whole_row",
    "readers_disagree",
    "policy",
    "internal",
]

UNSAFE = "I could not turn that into a query that is safe to run."
TOO_COMPLEX = "That query is too long or too complex to check. Ask for less at once."
UNREADABLE = "I could not turn that into a query that the database understands."
NOT_AVAILABLE = "That asks for data that is not available to you."


def violation(rule: RuleName, reason: str, message: str = UNSAFE, position: int | None = None) -> Violation:
    return Violation(rule=rule, reason=reason, message=message, position=position)
