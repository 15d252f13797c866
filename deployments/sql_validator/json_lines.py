"""Verdicts on JSON lines, one a line whatever it holds: the work of ``plumbline validate --json-lines``."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from deployments.sql_validator.validator import Validator
from serve_app.contracts import SchemaSnapshot, ValidSql

# The longest statement is far shorter; a line over this is not even parsed.
MAX_LINE_BYTES = 16 * 1024 * 1024


def verdict_lines(
    lines: Iterable[bytes], validator: Validator, policy: str, schema: SchemaSnapshot | None = None
) -> Iterator[str]:
    """One ``{"accepted": …, "rule": …, "reason": …}`` for each ``{"sql": …}``, in order. Never raises for a
    line.

    ``lines`` are bytes, as a binary stream gives them, so that invalid UTF-8 is an answer and not a crash.
    """
    for line in lines:
        yield json.dumps(_verdict(line, validator, policy, schema))


def _verdict(line: bytes, validator: Validator, policy: str, schema: SchemaSnapshot | None) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        return _invalid(f"the line has {len(line)} bytes, at most {MAX_LINE_BYTES} are read")
    try:
        request = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as fault:
        return _invalid(f"the line is not UTF-8 (byte {fault.start})")
    except (ValueError, RecursionError, MemoryError) as fault:
        return _invalid(f"the line is not JSON ({type(fault).__name__})")
    sql = request.get("sql") if isinstance(request, dict) else None
    if not isinstance(sql, str):
        return _invalid('the line must be an object with a text "sql"')
    verdict = validator.validate(sql, policy, schema)
    if isinstance(verdict, ValidSql):
        return {"accepted": True, "rule": None, "reason": None}
    return {"accepted": False, "rule": verdict.first.rule, "reason": verdict.first.reason}


def _invalid(reason: str) -> dict[str, Any]:
    return {"accepted": False, "rule": "invalid_request", "reason": reason}
