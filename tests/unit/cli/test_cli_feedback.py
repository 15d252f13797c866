"""`plumbline feedback` on a store of its own."""

import asyncio
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.conversations.conversations import ConversationMemory
from deployments.prompt_builder.retrieval import load_examples
from serve_app.contracts import Caller, Feedback
from tests.cli_support import Cli

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
IDS = ("aa11aaaa-1", "aa22bbbb-2", "cc33cccc-3")


def feedback(feedback_id: str, **fields: Any) -> Feedback:
    values = {
        "conversation_id": feedback_id,
        "position": 0,
        "caller": Caller(user_id="ann", organization_id="north"),
        "verdict": "up",
        "question": "Permit fees above 500?",
        "sql": "SELECT amount FROM expenses WHERE amount > 500 LIMIT 10001",
        "row_cap": 10001,
        "asked_on": date(2026, 3, 31),
        "given_at": NOW,
        "status": "pending",
        **fields,
    }
    return Feedback(id=feedback_id, **values)


@pytest.fixture(autouse=True)
def kept(cli: Cli, tmp_path: Path) -> None:
    async def fill() -> None:
        memory = ConversationMemory(f"sqlite:///{tmp_path}/state/conversations.sqlite")
        await memory.give_feedback(feedback(IDS[0]))
        await memory.give_feedback(feedback(IDS[1], position=2))
        noted = feedback(IDS[2], verdict="down", sql=None, status="noted", comment="wrong year")
        await memory.give_feedback(noted)
        await memory.close()

    asyncio.run(fill())


def test_feedback_is_listed(cli: Cli) -> None:
    ended = cli("feedback", "list")
    assert ended.code == 0
    assert "aa11aaaa  pending  up  ann of north\n    Permit fees above 500?" in ended.out
    assert "aa22bbbb  pending  up  ann of north, a follow-up" in ended.out
    assert "    wrong year" in ended.out
    lines = cli("feedback", "list", "--status", "noted", "--json").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [IDS[2]]
    assert cli("feedback", "list", "--status", "rejected").error_line == "no feedback is rejected"


def test_an_accepted_pair_is_exported_as_a_packs_line(cli: Cli, tmp_path: Path) -> None:
    ended = cli("feedback", "accept", "aa11", "--by", "ops")
    assert (ended.code, ended.error_line) == (0, "accepted: Permit fees above 500?")
    assert "accepted, by ops" in cli("feedback", "list").out
    (line,) = cli("feedback", "export").out.splitlines()
    assert json.loads(line) == {
        "question": "Permit fees above 500?",
        "sql": "SELECT amount FROM expenses WHERE amount > 500",
        "kind": "feedback",
        "asked_on": "2026-03-31",
    }
    path = tmp_path / "examples.jsonl"
    assert cli("feedback", "export", "--output", str(path)).code == 0
    assert load_examples(path)[0].question == "Permit fees above 500?"
    assert "cannot be written" in cli("feedback", "export", "--output", str(path)).error_line
    assert cli("feedback", "reject", "aa11").error_line == "rejected: Permit fees above 500?"
    assert cli("feedback", "export").out == ""


def test_a_follow_up_is_accepted_with_a_wording_of_its_own(cli: Cli) -> None:
    refused = cli("feedback", "accept", "aa22")
    assert refused.code == 2
    assert "--question" in refused.error_line
    accepted = cli("feedback", "accept", "aa22", "--question", "Permits over 500 dollars", "--for-everyone")
    assert accepted.error_line == "accepted: Permits over 500 dollars"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("accept", "zz"), "there is no feedback 'zz'"),
        (("accept", "aa"), "2 ids begin with 'aa'"),
        (("accept", "cc33"), "holds no statement"),
        (("accept", "aa11", "--question", "x"), "--question must have 3 to 1000 characters"),
        (("list", "--status", "lost"), "there is no status 'lost'"),
    ],
)
def test_bad_input_is_told_in_one_line(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    ended = cli("feedback", *arguments)
    assert ended.code == 2
    assert told in ended.error_line
    assert ended.out == ""


def test_a_store_that_cannot_be_reached(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLUMBLINE_STORE_URL", f"sqlite:///{tmp_path}/file/store.db")
    ended = cli("feedback", "list")
    assert ended.code == 1
    assert "cannot be reached" in ended.error_line
