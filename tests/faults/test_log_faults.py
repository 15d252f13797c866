"""The audit log and the log file on a full disk: what is answered and told, and a chain that verifies."""

import errno
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import make_stages

from serve_app.audit.log import AuditLog, audit_files
from serve_app.audit.records import Auditor
from serve_app.audit.verify import verify_files
from serve_app.http_app import make_app
from serve_app.logging import LOGGER, configure_logging
from serve_app.metrics import Figures, NullRecorder
from serve_app.service import ChatService, ServiceConfig
from tests.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.faults

ASK = {"query": "How many rows?", "user_id": "ann"}
RUN = {"sql": "SELECT 1", "user_id": "ann"}


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk() as made:
        yield made


def client_of(log: AuditLog, required: bool) -> httpx.AsyncClient:
    auditor = Auditor(log, required)
    service = ChatService(make_stages(), ServiceConfig(), Figures(NullRecorder()), auditor=auditor)
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://plumbline")


@pytest.fixture(params=[False, True], ids=["wished", "required"])
async def served(
    request: pytest.FixtureRequest, disk: SmallDisk
) -> AsyncIterator[tuple[httpx.AsyncClient, bool]]:
    """A service whose audit log lies on the small disk, and whether it is required."""
    log = AuditLog(disk.folder / "audit", "ingress")
    async with client_of(log, request.param) as http:
        yield http, request.param
    log.close()


def events(folder: Path) -> list[dict[str, Any]]:
    """Every line of a log whose chain is whole."""
    files = audit_files(folder)
    assert [verdict.fault for verdict in verify_files(files, is_whole_log=True)] == [None] * len(files)
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def test_questions_on_a_full_disk_are_answered_or_refused_as_set_and_recorded_afterwards(
    disk: SmallDisk, served: tuple[httpx.AsyncClient, bool]
) -> None:
    http, required = served
    assert (await http.post("/api/chat", json=ASK)).status_code == 200
    disk.fill()
    # The last page of the file has some room left.
    asked = 1
    while "audit" not in (await http.get("/ready")).text:
        assert (await http.post("/api/chat", json=ASK)).status_code in (200, 503)
        asked += 1
    for path, body in (("/api/chat", ASK), ("/api/sql/run", RUN), ("/api/chat/stream", ASK)):
        reply = await http.post(path, json=body)
        assert reply.status_code == (503 if required else 200)
        if required:
            assert reply.json()["error"]["type"] == "internal_error"
            assert "cannot write the record" in reply.json()["error"]["message"]
            assert reply.json()["data"] is None
    ready = await http.get("/ready")
    assert ready.status_code == (503 if required else 200)
    (told,) = (stage for stage in ready.json()["stages"] if stage["stage"] == "audit")
    assert "cannot be written" in told["detail"]
    assert str(disk.folder) not in ready.text
    disk.clear()
    # Nobody has to ask first: a load balancer that took the server out puts it back.
    assert (await http.get("/ready")).status_code == 200
    assert (await http.post("/api/chat", json=ASK)).status_code == 200
    written = events(disk.folder / "audit")
    (gap,) = (line for line in written if line["event"] == "gap")
    assert gap["lines"] >= 3
    recorded = sum(line["event"] in ("question", "sql") for line in written)
    # Each question before the fault, the last one, and none of those between.
    assert recorded + gap["lines"] >= asked + 4
    assert written[-1]["event"] == "question"
    assert any(line["event"] == "asked" for line in written) == required


async def test_an_answer_whose_record_finds_no_room_is_not_given_where_records_are_required(
    tmp_path: Path,
) -> None:
    """The disk fills up between the question and its answer."""

    class FillingUp(AuditLog):
        def write(self, event: str, **fields: Any) -> None:
            if event in ("question", "sql"):
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(event, **fields)

    log = FillingUp(tmp_path, "ingress")
    async with client_of(log, required=True) as http:
        for path, body in (("/api/chat", ASK), ("/api/sql/run", RUN)):
            refused = await http.post(path, json=body)
            assert (refused.status_code, refused.json()["data"]) == (503, None)
    log.close()
    assert [line["event"] for line in events(tmp_path)] == ["opened", "asked", "gap", "asked"]


async def test_a_log_that_is_begun_on_a_full_disk_is_begun_when_there_is_room(disk: SmallDisk) -> None:
    """As when the ingress is replaced meanwhile: its successor serves."""
    before = AuditLog(disk.folder, "ingress")
    before.close()
    disk.fill()
    log = AuditLog(disk.folder, "ingress")
    async with client_of(log, required=False) as http:
        assert (await http.post("/api/chat", json=ASK)).status_code == 200
        disk.clear()
        assert (await http.post("/api/chat", json=ASK)).status_code == 200
    log.close()
    assert [line["event"] for line in events(disk.folder)] == ["opened", "opened", "gap", "question"]


def test_a_log_file_on_a_full_disk_loses_lines_and_nothing_else(
    disk: SmallDisk, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger(LOGGER)
    before = (logger.level, logger.propagate, list(logger.handlers))
    file = disk.folder / "log.jsonl"
    try:
        configure_logging("INFO", file, "Executor")
        logger.info("before")
        disk.fill()
        for number in range(200):
            logger.info("meanwhile", extra={"number": number, "text": "x" * 8000})
        disk.clear()
        for number in range(3):
            logger.info("after", extra={"number": number})
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.level, logger.propagate, logger.handlers = before
    texts = [text for text in file.read_text().splitlines() if text]
    # The line for which the room was too small is cut off, and by itself.
    whole = [text for text in texts if text.endswith("}")]
    assert len(texts) - len(whole) <= 1
    lines = [json.loads(text) for text in whole]
    assert lines[0]["message"] == "before"
    assert [line["number"] for line in lines if line["message"] == "after"] == [0, 1, 2]
    assert "Traceback" not in capfd.readouterr().err


def test_a_log_file_whose_folder_is_gone_costs_no_call(tmp_path: Path) -> None:
    logger = logging.getLogger(LOGGER)
    before = (logger.level, logger.propagate, list(logger.handlers))
    folder = tmp_path / "logs"
    folder.mkdir()
    try:
        configure_logging("INFO", folder / "log.jsonl", "Executor")
        logger.info("before")
        folder.rename(tmp_path / "moved")
        logger.info("meanwhile")
        folder.mkdir()
        logger.info("after")
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.level, logger.propagate, logger.handlers = before
    (line,) = (folder / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["message"] == "after"
