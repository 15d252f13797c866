import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_support import Cli

COMMANDS = (
    *("up", "down", "status", "database-url", "ask", "schema", "validate", "eval"),
    *("train", "gpu-check", "download-model"),
)
HEAVY = ("ray", "torch", "transformers", "sqlglot", "asyncpg", "pydantic", "httpx", "rich", "numpy")


def test_help_names_every_command(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert all(f"  {name} " in shown.out for name in COMMANDS)
    assert cli() == shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: plumbline {command}")


def test_starting_imports_nothing_heavy() -> None:
    code = (
        f"import json, sys, serve_app.cli.app; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["askk"], "No such command 'askk'"),
        (["ask"], "Missing argument"),
        (["ask", "  "], "the question is empty"),
        (["ask", "x", "--json", "--sql"], "exclude each other"),
        (["ask", "x", "--url", "nonsense"], "'nonsense' is not an HTTP address"),
        (["ask", "x", "--colour"], "No such option"),
        (["up", "--timeout", "0"], "--timeout': Input should be greater than or equal to 1"),
        (["up", "--config", "nowhere.yaml"], "'nowhere.yaml' does not exist"),
        (["validate"], "standard input holds no SQL"),
        (["validate", "--policy", "nope"], "there is no policy 'nope'"),
        (["validate", "--json", "--json-lines"], "exclude each other"),
        (["eval"], "give files of questions or --verified"),
        (["eval", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["eval", "tests/data/eval/single.jsonl", "--url", "x"], "'x' is not an HTTP address"),
        (
            ["eval", "tests/data/eval/single.jsonl", "--concurrency", "0"],
            "--concurrency': Input should be greater than or equal to 1",
        ),
        (["train", "--config", "nowhere.yaml"], "'nowhere.yaml' does not exist"),
        (["train", "--minutes", "soon"], "--minutes': Input should be a valid number"),
        (["gpu-check", "--model", "nope"], "there is no model profile 'nope'"),
        (["download-model", "a/b/c"], "'a/b/c' is not a model id"),
    ],
)
def test_bad_input_ends_with_one_line_and_code_two(cli: Cli, arguments: list[str], message: str) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    last = ended.err.splitlines()[-1]
    assert last.startswith("plumbline: ")
    assert message in last
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_every_fault_of_the_settings_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_PORT", "many")
    monkeypatch.setenv("MISTRAL_TOP_P", "7")
    ended = cli("status")
    assert ended.code == 2
    assert "PLUMBLINE_PORT" in ended.err
    assert "MISTRAL_TOP_P" in ended.err


def test_a_reader_that_closes_early_is_no_error(tmp_path: Path) -> None:
    lines = b'{"sql": "SELECT 1"}\n' * 5000
    command = f"{sys.executable} -m serve_app.cli validate --json-lines | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], input=lines, capture_output=True, check=True)
    assert b"Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_an_unreachable_hub_is_told_with_a_way_out(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = cli("download-model", "some/model", "--to", str(tmp_path))
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert "some/model could not be downloaded" in last
    assert "MISTRAL_MODEL" in last
