"""Rules on the bare text. They run before anything parses it."""

import unicodedata

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.rules.base import TOO_COMPLEX, UNREADABLE, TextRule, violation
from serve_app.contracts import Violation

_BLANKS = "\t\n\r "


def not_empty(sql: str, config: ValidatorConfig) -> list[Violation]:
    if sql.strip(_BLANKS):
        return []
    return [violation("empty", "there is no SQL statement", "There is no query to check.")]


def bounded_length(sql: str, config: ValidatorConfig) -> list[Violation]:
    if len(sql) <= config.max_characters:
        return []
    reason = f"the statement has {len(sql)} characters, at most {config.max_characters} are allowed; write it shorter"
    return [violation("length", reason, TOO_COMPLEX)]


def plain_characters(sql: str, config: ValidatorConfig) -> list[Violation]:
    """No control characters (NUL ends a C string), no lone surrogates (they close the database connection)."""
    for place, character in enumerate(sql[: config.max_characters]):
        if character in _BLANKS or " " < character < "\x7f":
            continue
        if unicodedata.category(character) in ("Cc", "Cs", "Cn"):
            reason = f"the character U+{ord(character):04X} is not allowed in SQL; leave it out"
            return [violation("characters", reason, UNREADABLE, place)]
    return []


TEXT_RULES: tuple[TextRule, ...] = (not_empty, bounded_length, plain_characters)
