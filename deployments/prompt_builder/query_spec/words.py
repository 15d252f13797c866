"""The words of the query specification language and how names are written among them."""

import re
from typing import Final, get_args

from deployments.prompt_builder.query_spec.nodes import AggregateName, DatePart, WindowName

AGGREGATES: Final = get_args(AggregateName)
WINDOWS: Final = get_args(WindowName)
DATE_PARTS: Final = get_args(DatePart)
FUNCTIONS: Final = {"coalesce": 2, "abs": 1}

# Words with a place of their own in the grammar; function names are known by the parenthesis after them.
RESERVED: Final = frozenset(
    [
        "cannot",
        "show",
        "distinct",
        "where",
        "sort",
        "desc",
        "limit",
        "per",
        "offset",
        "and",
        "or",
        "not",
        "in",
        "between",
        "is",
        "null",
        "before",
        "after",
        "contains",
        "starts",
        "if",
        "by",
        "all",
        "overall",
        "today",
    ]
)
PLACEHOLDER: Final = re.compile(r"[NVD]\d+")
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")


def quote_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def quote_name(name: str, reserved: frozenset[str] = RESERVED) -> str:
    """The name itself if it is plain and no keyword, else in double quotes."""
    if _PLAIN.fullmatch(name) and name not in reserved:
        return name
    return '"' + name.replace('"', '""') + '"'
