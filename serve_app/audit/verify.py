"""Whether audit files are whole, each by itself and as a series."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from serve_app.audit.chain import Checked, check_lines


class Verdict(NamedTuple):
    """What is said of one file; ``fault`` names the first broken line, counted from 1."""

    path: Path
    lines: int
    head: str
    fault: str | None
    hashes: frozenset[str]


def verify_files(paths: Sequence[Path], is_whole_log: bool) -> list[Verdict]:
    """Check each file. Of a whole log, a file that another one follows must be there, up to the head named.

    Raises:
        OSError: a file cannot be read.
    """
    checked = {path: _checked(path) for path in paths}
    by_name = {path.name: found for path, found in checked.items()}
    return [
        Verdict(path, found.lines, found.head, _fault(found, by_name if is_whole_log else None), found.hashes)
        for path, found in checked.items()
    ]


def _checked(path: Path) -> Checked:
    with path.open("rb") as handle:
        return check_lines(handle)


def _fault(found: Checked, by_name: dict[str, Checked] | None) -> str | None:
    if found.fault is not None:
        return f"line {found.lines + 1}: {found.fault}"
    if found.lines == 0:
        return "line 1: it is missing"
    if found.follows is None or by_name is None:
        return None
    name, head = found.follows
    before = by_name.get(name)
    if before is None:
        return f"line 1: it follows the file {name}, which is missing"
    if head not in before.hashes:
        return f"line 1: it follows a line of {name} that is not there any more"
    return None


def missing_heads(verdicts: Sequence[Verdict], kept: Sequence[str]) -> list[str]:
    """The hashes of ``kept``, told by an earlier check, whose lines are not there any more."""
    return [head for head in kept if all(head not in verdict.hashes for verdict in verdicts)]
