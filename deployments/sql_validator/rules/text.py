"""Rules on the bare text. They run before anything parses it."""

import re
import unicodedata

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.rules.base import TOO_COMPLEX, UNREADABLE, TextRule, violation
from serve_app.contracts import Violation

_BLANKS = "\t\n\r "
_UNUSUAL = re.compile(r"[^\t\n\r -~]")


def not_empty(sql: str, config: ValidatorConfig) -> list[Violation]:
    if sql.strip(_BLANKS):
        return []
    return [violation("empty", "there is no SQL statement", "There is no query to check.")]


def bounded_length(sql: str, config: ValidatorConfig) -> list[Violation]:
    if len(sql) <= config.max_characters:
        return []
    reason = f"the statement has {len(sql)} characters, at most {config.max_characters} are allowed"
    return [violation("length", reason, TOO_COMPLEX)]


def plain_characters(sql: str, config: ValidatorConfig) -> list[Violation]:
    """No control characters (NUL ends a C string) and no lone surrogates (they close the connection)."""
    for unusual in _UNUSUAL.finditer(sql, 0, config.max_characters):
        if unicodedata.category(unusual[0]) in ("Cc", "Cs", "Cn"):
            reason = f"the character U+{ord(unusual[0]):04X} is not allowed in SQL; leave it out"
            return [violation("characters", reason, UNREADABLE, unusual.start())]
    return []


TEXT_RULES: tuple[TextRule, ...] = (not_empty, bounded_length, plain_characters)
