"""One verdict a line, whatever the line holds."""

import json

import pytest

from deployments.sql_validator.json_lines import MAX_LINE_BYTES, verdict_lines
from tests.sql_cases import validator


def verdicts(*lines: bytes, policy: str = "default") -> list[dict[str, object]]:
    return [json.loads(line) for line in verdict_lines(lines, validator(), policy)]


def test_a_good_statement_is_accepted() -> None:
    assert verdicts(b'{"sql": "SELECT name FROM projects"}\n') == [
        {"accepted": True, "rule": None, "reason": None}
    ]


def test_a_refusal_names_rule_and_reason() -> None:
    line = b'{"id": 7, "sql": "SELECT hourly_rate FROM labor"}'
    assert verdicts(line, policy="restricted") == [
        {
            "accepted": False,
            "rule": "unknown_column",
            "reason": 'column "hourly_rate" does not exist in labor; did you mean "hours"?',
        }
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SELECT 1", "not JSON"),
        (b"", "not JSON"),
        (b"\n", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b'{"sql": "SELECT \xff"}', "not UTF-8 (byte 16)"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b"{}", "must be an object"),
        (b'{"sql": null}', "must be an object"),
        (b'{"sql": 5}', "must be an object"),
        (b" " * (MAX_LINE_BYTES + 1), "bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_request_is_answered_as_such(line: bytes, words: str) -> None:
    (verdict,) = verdicts(line)
    assert verdict["accepted"] is False
    assert verdict["rule"] == "invalid_request"
    assert words in str(verdict["reason"])


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("x" * 5_000_000, "length"),
        ("SELECT '\ud800'", "characters"),
        ("SELECT 1\x00", "characters"),
        ("", "empty"),
        ("SELECT " + "(" * 3_000, "tokens"),
        ("\U0010ffff", "characters"),
    ],
    ids=lambda value: value[:20],
)
def test_hostile_statements_are_refused(sql: str, rule: str) -> None:
    (verdict,) = verdicts(json.dumps({"sql": sql}).encode())
    assert verdict["accepted"] is False
    assert verdict["rule"] == rule


def test_a_bad_line_does_not_end_the_others() -> None:
    lines = [b"\xff", b'{"sql": "SELECT 1"}', b"[", b'{"sql": "DROP TABLE x"}', b'{"sql": "SELECT 2"}']
    assert [v["accepted"] for v in verdicts(*lines)] == [False, True, False, False, True]
