import json
from pathlib import Path

import pytest

from tests.cli_support import Cli, Server

ANSWER = {
    "success": True,
    "data": {
        "rows": [{"name": "Tower [A]", "spent": 1200.5}, {"name": None, "spent": None}],
        "row_count": 2,
        "columns": ["name", "spent"],
        "total_count": 2,
        "truncated": False,
    },
    "answer": "2 rows.",
    "sql": "SELECT name, spent FROM t",
    "conversation_id": "c-9",
    "metadata": {"columns": [{"name": "spent", "database_type": "numeric", "semantic_type": "currency"}]},
}
REFUSAL = {**ANSWER, "data": None, "sql": None, "answer": "I can't answer that yet."}
CLARIFICATION = {**REFUSAL, "answer": None, "clarification": "Which project?"}


def failure(kind: str) -> dict[str, object]:
    return {**REFUSAL, "answer": None, "error": {"type": kind, "message": "It went wrong."}}


def test_an_answer_is_a_table_with_its_sql(cli: Cli, server: Server) -> None:
    server.body = ANSWER
    shown = cli("ask", "spend per job", "--url", server.url, "--user", "ada")
    assert shown.code == 0
    assert server.asked == [("/api/chat", {"query": "spend per job", "user_id": "ada"})]
    for text in ("Tower [A]", "1,200.50", "2 rows.", "SELECT name, spent FROM t"):
        assert text in shown.out
    assert "c-9" in shown.err


def test_values_cannot_steer_the_terminal(cli: Cli, server: Server) -> None:
    evil = "x\x1b]0;owned\x07\x1b[2J\u202ey"
    server.body = {
        **ANSWER,
        "data": {**ANSWER["data"], "rows": [{"name": evil, "spent": 1}]},  # type: ignore[dict-item]
        "answer": evil,
        "sql": f"SELECT '{evil}'",
    }
    shown = cli("ask", "x", "--url", server.url).out
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "x\ufffd]0;owned" in shown


def test_a_conversation_goes_on(cli: Cli, server: Server) -> None:
    server.body = ANSWER
    cli("ask", "and last year?", "--conversation", "c-9", "--url", server.url)
    assert server.asked[0][1]["conversation_id"] == "c-9"


def test_a_question_can_come_from_standard_input(cli: Cli, server: Server) -> None:
    server.body = ANSWER
    assert cli("ask", "-", "--url", server.url, given="naïve 🏗?".encode()).code == 0
    assert server.asked[0][1]["query"] == "naïve 🏗?"


@pytest.mark.parametrize(("question", "given"), [("-", b"how \xff many"), ("how \udcff many", b"")])
def test_a_question_that_is_no_text_is_refused(cli: Cli, server: Server, question: str, given: bytes) -> None:
    ended = cli("ask", question, "--url", server.url, given=given)
    assert (ended.code, ended.error_line) == (2, "plumbline: the question is not UTF-8 text")
    assert server.asked == []


def test_json_and_sql_are_for_programs(cli: Cli, server: Server) -> None:
    server.body = ANSWER
    assert json.loads(cli("ask", "x", "--json", "--url", server.url).out) == ANSWER
    assert cli("ask", "x", "--sql", "--url", server.url).out == "SELECT name, spent FROM t\n"


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (REFUSAL, 1, "can't answer that yet"),
        (CLARIFICATION, 3, "Which project?"),
        (failure("execution_timeout"), 1, "It went wrong."),
        (failure("invalid_request"), 2, "It went wrong."),
    ],
)
def test_the_exit_code_tells_what_came_back(
    cli: Cli, server: Server, body: dict[str, object], code: int, text: str
) -> None:
    server.body = body
    ended = cli("ask", "x", "--url", server.url)
    assert ended.code == code
    assert text in ended.out + ended.err


def test_no_server_and_foreign_servers_are_told_apart(cli: Cli, server: Server) -> None:
    ended = cli("ask", "x", "--url", "http://127.0.0.1:1")
    assert ended.code == 1
    assert "nothing answers at http://127.0.0.1:1" in ended.error_line
    server.body = "<html>"
    assert "no Plumbline server" in cli("ask", "x", "--url", server.url).error_line


def test_the_schema_is_shown_as_tables_or_json(cli: Cli, server: Server) -> None:
    server.body = json.loads(Path("tests/data/prompt_builder/sample_schema.json").read_text())
    shown = cli("schema", "--refresh", "--url", server.url)
    assert "TABLE labor (" in shown.out
    assert server.asked[0][0] == "/api/schema?refresh=true"
    assert json.loads(cli("schema", "--json", "--url", server.url).out) == server.body
