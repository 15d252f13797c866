"""Lines that each hold the hash of the line before: what one is made of, and whether a file is whole.

``hash`` of a line is SHA-256 over ``previous`` (the hash of the line before; zeros in the first) and the
line's own fields as canonical JSON. Changing, moving or removing a line breaks every later one. The end of a
file can be cut off unseen, unless the hash of a later line is known from elsewhere: a file that begins later
names the head of the one before, and `plumbline audit verify` prints heads to keep and takes kept ones.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NO_HASH = "0" * 64
_HASH = re.compile(r"[0-9a-f]{64}")


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def line_of(fields: Mapping[str, Any], previous: str) -> tuple[str, str]:
    """The line of an event, without its newline, and the line's hash."""
    chained = {**fields, "previous": previous}
    digest = digest_of(chained)
    return canonical({**chained, "hash": digest}), digest


def digest_of(chained: Mapping[str, Any]) -> str:
    """The hash of a line's fields, among them ``previous`` and not ``hash``."""
    text = f"{chained['previous']}\n{canonical(chained)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def canonical(fields: Mapping[str, Any]) -> str:
    # ASCII only: no reader may take a character of a question for the end of a line.
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True)
class Checked:
    """What became of checking a file: how many lines are whole, and the first that is not.

    ``follows`` is (file, hash) of the head that the file says it follows.
    """

    lines: int
    head: str
    fault: str | None = None
    follows: tuple[str, str] | None = None
    hashes: frozenset[str] = frozenset()


def check_lines(lines: Iterable[bytes]) -> Checked:
    """Check the lines of one file, newlines included, from its beginning to the first that is broken."""
    previous, count = NO_HASH, 0
    follows: tuple[str, str] | None = None
    hashes: set[str] = set()
    for raw in lines:
        fields = _fields(raw)
        fault = _fault(raw, fields, previous, count)
        if fault is not None or fields is None:
            return Checked(count, previous, fault, follows, frozenset(hashes))
        if count == 0 and fields.get("after_hash"):
            follows = (str(fields.get("after_file")), str(fields["after_hash"]))
        previous, count = str(fields["hash"]), count + 1
        hashes.add(previous)
    return Checked(count, previous, None, follows, frozenset(hashes))


def _fault(raw: bytes, fields: dict[str, Any] | None, previous: str, count: int) -> str | None:
    if not raw.endswith(b"\n"):
        return "it is cut off"
    if fields is None or canonical(fields).encode() + b"\n" != raw:
        return "it is not as it was written"
    if fields.get("n") != count:
        return f"it says that it is line {fields.get('n')!r} of the file, counted from 0"
    if fields.get("previous") != previous:
        return "it does not follow the line before"
    told = fields.pop("hash", None)
    if told != digest_of(fields):
        return "its content does not give its hash"
    fields["hash"] = told
    return None


def _fields(raw: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
