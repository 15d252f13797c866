"""The audit log: whole files verify, and no change of one goes unseen."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.audit.chain import NO_HASH, check_lines, line_of
from serve_app.audit.log import AuditLog, audit_files, open_log
from serve_app.audit.verify import verify_files
from serve_app.errors import ConfigurationError
from serve_app.settings.identity import AuditSettings

TEXT = st.text(max_size=40)
EVENTS = st.lists(
    st.dictionaries(st.sampled_from(["question", "sql", "user_id"]), TEXT | st.none()), min_size=1
)


def lines_of(events: list[dict[str, Any]]) -> list[bytes]:
    previous, lines = NO_HASH, []
    for n, fields in enumerate(events):
        line, previous = line_of({**fields, "event": "question", "n": n}, previous)
        lines.append(f"{line}\n".encode())
    return lines


@settings(max_examples=200)
@given(EVENTS)
def test_whole_lines_verify(events: list[dict[str, Any]]) -> None:
    found = check_lines(lines_of(events))
    assert (found.lines, found.fault) == (len(events), None)


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(EVENTS, st.data())
def test_any_changed_byte_breaks_its_line(events: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = lines_of(events)
    place = data.draw(st.integers(0, len(lines) - 1))
    offset = data.draw(st.integers(0, len(lines[place]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[place][offset]))
    changed = bytearray(lines[place])
    changed[offset] = other
    whole = b"".join([*lines[:place], bytes(changed), *lines[place + 1 :]])
    found = check_lines(whole.splitlines(keepends=True))
    assert found.fault is not None
    assert found.lines <= place


@given(EVENTS.filter(lambda events: len(events) > 1), st.data())
def test_a_line_that_is_moved_repeated_or_gone_is_found(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines = lines_of(events)
    place = data.draw(st.integers(0, len(lines) - 2))
    for changed in (
        lines[:place] + lines[place + 1 :],
        [*lines[: place + 1], *lines[place:]],
        [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]],
    ):
        found = check_lines(changed)
        assert found.fault is not None
        assert found.lines in (place, place + 1)


def test_a_rewritten_line_needs_every_later_one_rewritten(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "test", "never")
    for n in range(3):
        log.write("question", question=f"q{n}")
    log.close()
    lines = log.path.read_bytes().splitlines(keepends=True)
    fields = json.loads(lines[1])
    forged, _ = line_of(
        {k: v for k, v in fields.items() if k not in ("hash", "previous")} | {"question": "x"},
        fields["previous"],
    )
    log.path.write_bytes(b"".join([lines[0], f"{forged}\n".encode(), *lines[2:]]))
    (verdict,) = verify_files([log.path], is_whole_log=True)
    assert verdict.fault == "line 3: it does not follow the line before"


def test_files_follow_each_other_so_that_a_missing_or_cut_one_is_found(tmp_path: Path) -> None:
    for n in range(3):
        log = AuditLog(tmp_path, "ingress", "always")
        log.write("question", question=f"q{n}")
        log.close()
    first, second, _ = audit_files(tmp_path)
    assert [v.fault for v in verify_files(audit_files(tmp_path), is_whole_log=True)] == [None] * 3
    kept = second.read_bytes()
    second.write_bytes(b"".join(kept.splitlines(keepends=True)[:-1]))
    faults = [v.fault for v in verify_files(audit_files(tmp_path), is_whole_log=True)]
    assert faults[2] == f"line 1: it follows a line of {second.name} that is not there any more"
    second.write_bytes(kept)
    first.unlink()
    faults = [v.fault for v in verify_files(audit_files(tmp_path), is_whole_log=True)]
    assert faults == [f"line 1: it follows the file {first.name}, which is missing", None]


def test_two_writers_have_two_files_and_only_their_user_reads_them(tmp_path: Path) -> None:
    one, two = (AuditLog(tmp_path / "audit", "ingress") for _ in range(2))
    for n in range(20):
        (one if n % 2 else two).write("question", n_asked=n)
    for log in (one, two):
        assert log.path.stat().st_mode & 0o077 == 0
        log.close()
        log.close()
    verdicts = verify_files(audit_files(tmp_path / "audit"), is_whole_log=True)
    assert [(v.lines, v.fault) for v in verdicts] == [(11, None)] * 2


def test_a_line_that_cannot_be_written_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, "test", "never")
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:10]))
        with pytest.raises(OSError, match="part"):
            log.write("question", question="half")
    log.write("question", question="whole")
    log.close()
    (verdict,) = verify_files([log.path], is_whole_log=True)
    assert (verdict.lines, verdict.fault) == (2, None)


def test_half_a_line_at_the_end_is_told(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "test")
    log.write("question")
    log.close()
    log.path.write_bytes(log.path.read_bytes()[:-5])
    (verdict,) = verify_files([log.path], is_whole_log=True)
    assert verdict.fault == "line 2: it is cut off"
    # The next file follows the last whole line.
    AuditLog(tmp_path, "test").close()


def test_the_log_can_be_off_and_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    assert open_log(AuditSettings(enabled=False), tmp_path) is None
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="PLUMBLINE_AUDIT_FOLDER"):
        open_log(AuditSettings(folder=tmp_path / "file"), tmp_path)
