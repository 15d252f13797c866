import json

import pytest

from tests.cli_support import Cli


def test_an_accepted_statement_is_shown_as_it_would_run(cli: Cli) -> None:
    ended = cli("validate", given=b"select name from projects;")
    assert ended.code == 0
    assert "SELECT name FROM projects LIMIT" in ended.out


@pytest.mark.parametrize(
    "sql", [b"DROP TABLE projects", b"SELECT 1; SELECT 2", b"SELECT nothing FROM projects", b"@"]
)
def test_a_rejected_statement_names_the_rule(cli: Cli, sql: bytes) -> None:
    ended = cli("validate", given=sql)
    assert ended.code == 1
    assert ended.out.startswith("rejected by ")


def test_the_policy_decides(cli: Cli) -> None:
    sql = b"SELECT hourly_rate FROM labor"
    assert cli("validate", given=sql).code == 0
    assert cli("validate", "--policy", "restricted", given=sql).code == 1


def test_the_whole_verdict_as_json(cli: Cli) -> None:
    verdict = json.loads(cli("validate", "--json", given=b"DROP TABLE projects").out)
    assert verdict["accepted"] is False
    assert verdict["violations"][0]["rule"]


def test_json_lines_give_one_verdict_a_line_whatever_it_holds(cli: Cli) -> None:
    lines = [
        b'{"sql": "SELECT 1"}',
        b"nonsense",
        b"\xff",
        b'{"sql": 3}',
        b"",
        b'{"sql": "DELETE FROM projects"}',
    ]
    ended = cli("validate", "--json-lines", given=b"\n".join(lines) + b"\n")
    verdicts = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [v["accepted"] for v in verdicts] == [True, False, False, False, False, False]
    assert all(set(v) == {"accepted", "rule", "reason"} for v in verdicts)


def test_standard_input_that_is_no_text_is_bad_input(cli: Cli) -> None:
    ended = cli("validate", given=b"SELECT \xff")
    assert ended.code == 2
    assert "not UTF-8 (byte 7)" in ended.error_line
