"""Logs: JSON lines, to a file too, without credentials."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.contracts import Caller
from serve_app.errors import ExecutionFailed
from serve_app.logging import LOGGER, configure_logging, log_error
from serve_app.paths import PROJECT_ROOT


@pytest.fixture
def restored() -> Iterator[None]:
    logger = logging.getLogger(LOGGER)
    before = (logger.level, logger.propagate, list(logger.handlers))
    yield
    for handler in logger.handlers:
        if handler not in before[2]:
            handler.close()
    logger.level, logger.propagate, logger.handlers = before


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.usefixtures("restored")
def test_lines_are_json_with_time_level_and_deployment(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    for _ in range(2):
        configure_logging("INFO", file, "Executor")
    logger = logging.getLogger("plumbline.pipeline")
    logger.info("stage", extra={"request_id": "r", "question": "¿Cuánto?"})
    logger.debug("not this")
    (line,) = lines_of(file)
    assert (line["message"], line["level"], line["deployment"]) == ("stage", "INFO", "Executor")
    assert (line["request_id"], line["question"]) == ("r", "¿Cuánto?")
    assert line["time"]


def test_every_logger_of_the_project_is_below_the_configured_one() -> None:
    files = [*(PROJECT_ROOT / "serve_app").rglob("*.py"), *(PROJECT_ROOT / "deployments").rglob("*.py")]
    named = {
        (file.name, name)
        for file in files
        for name in re.findall(r"= logging\.getLogger\(([^)]*)\)\n", file.read_text(encoding="utf-8"))
    }
    assert named
    assert [found for found in named if not found[1].startswith(('"plumbline.', "LOGGER"))] == []


@pytest.mark.usefixtures("restored")
def test_a_file_that_is_moved_away_is_opened_anew(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    configure_logging("INFO", file, "Executor")
    logger = logging.getLogger("plumbline.executor")
    logger.info("before")
    file.rename(tmp_path / "log.jsonl.1")
    logger.info("after")
    assert [line["message"] for line in lines_of(file)] == ["after"]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("secret", ["hunter2", "p@ss", "a:b%2F"])
def test_credentials_of_urls_are_masked_even_in_stack_traces(tmp_path: Path, secret: str) -> None:
    file = tmp_path / "log.jsonl"
    configure_logging("INFO", file, "Executor")
    try:
        raise ValueError(f"cannot connect to postgresql://ann:{secret}@db.example/x")
    except ValueError as raised:
        log_error(raised, "r-9")
    text = file.read_text(encoding="utf-8")
    assert secret not in text
    assert "postgresql://***@db.example/x" in text


@pytest.mark.usefixtures("restored")
def test_an_error_says_whose_question_it_was(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    configure_logging("ERROR", file, "Ingress")
    caller = Caller(user_id="ann", organization_id="acme")
    log_error(ExecutionFailed(detail="relation x"), "r-1", caller, "How many?", "c-1")
    (line,) = lines_of(file)
    expected = {
        "request_id": "r-1",
        "error_type": "execution_failed",
        "error_detail": "relation x",
        "user_id": "ann",
        "organization_id": "acme",
        "question": "How many?",
        "conversation_id": "c-1",
    }
    assert expected.items() <= line.items()
    assert "ExecutionFailed" in line["exc_info"]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("word", ["x" * 1_000_000, "://" * 300_000, "://x" * 200_000, "@" * 1_000_000])
def test_a_long_word_does_not_hold_up_the_process(tmp_path: Path, word: str) -> None:
    """Whoever asks a question of one long word has it logged; the square of its length would take minutes."""
    file = tmp_path / "log.jsonl"
    configure_logging("INFO", file, "Ingress")
    logging.getLogger(LOGGER).handlers[0].close()
    logging.getLogger(LOGGER).handlers = logging.getLogger(LOGGER).handlers[1:]
    logging.getLogger("plumbline.service").info("error", extra={"question": word})
    (line,) = lines_of(file)
    assert line["message"] == "error"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "text",
    [
        'plain\n{"level": "INFO", "message": "query", "user_id": "admin"}',
        "carriage\rreturn",
        "\x1b[2J\x1b]0;title\x07 and \x9b31m in eight bits",
        "line\u2028separators\u2029and\x85next line",
        "\u202eright to left\u2066 and \u200bnothing",
        "\U000e0041hidden",
        "\ud800half",
    ],
)
def test_no_text_begins_a_line_or_speaks_to_a_terminal(text: str, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    configure_logging("DEBUG", file, "Executor")
    caller = Caller(user_id="ann")
    log_error(ExecutionFailed(text, detail=text), text, caller, question=text, path=text)
    written = file.read_bytes()
    assert written.count(b"\n") == 1
    line = written.decode("utf-8").rstrip("\n")
    assert line.isprintable()
    assert json.loads(line)["question"] == text
