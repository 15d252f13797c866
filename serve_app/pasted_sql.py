"""SQL typed where a question belongs. Only the way of saying no is chosen here; safety is the validator's."""

import re

from serve_app.contracts import CannotAnswer

_STATEMENT = re.compile(
    r"""^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:
        select\b.*(?:\*|;|\(|=|<|>).*\bfrom\b | select\b.*\bfrom\b.*(?:;|=|<|>|\()
      | select\s+(?:\d+|'[^']*')\s*;?\s*$
      | with\s+\w+\s+as\s*\(
      | insert\s+into\s | update\s+\w+\s+set\s | delete\s+from\s | truncate\s+table\s
      | copy\s+\w+\s+(?:from|to)\s
      | (?:drop|alter|create)\s+(?:table|view|schema|database|role|user|function|index|extension)\s
      | grant\s+\w+\s+on\s | revoke\s+\w+\s+on\s | explain\s+(?:analyze\s+)?select\s
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

REPLY = "I answer questions in plain English. To check or run SQL, use /api/sql/validate or /api/sql/run."


def refusal_of_pasted_sql(text: str) -> CannotAnswer | None:
    """The polite reply if the text is a statement rather than a question."""
    if _STATEMENT.match(text):
        return CannotAnswer(reason="not_understood", message=REPLY)
    return None
