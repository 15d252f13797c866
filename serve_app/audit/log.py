"""Writing the audit log: one file for each process that writes, locked for as long as it lives."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from serve_app.audit.chain import NO_HASH, line_of
from serve_app.errors import ConfigurationError
from serve_app.paths import resolve
from serve_app.settings.identity import AuditSettings

FOLDER = "audit"
SUFFIX = ".jsonl"
SYNC_INTERVAL_S = 1.0
# The last lines of a file are looked for in this many bytes of its end; a line is far shorter.
TAIL_BYTES = 262_144
# These pass when somebody makes room; every other fault of the folder is the operator's to correct first.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

Fsync = Literal["always", "interval", "never"]


class AuditLog:
    """A file of chained lines that only this object appends to. Threads may share it."""

    def __init__(
        self,
        folder: Path,
        writer: str,
        fsync: Fsync = "interval",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Begin a file in ``folder``; ``writer`` says in its name what kind of process writes.

        On a full disk there is no file yet: it is begun with the first line for which there is room.

        Raises:
            ConfigurationError: the folder cannot be written.
        """
        self._folder = folder
        self._writer = writer
        self._fsync = fsync
        self._now = now
        self._turn = threading.Lock()
        self._previous, self._count = NO_HASH, 0
        self._dirty, self._closed = threading.Event(), threading.Event()
        self._descriptor: int | None = None
        try:
            self._open()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise ConfigurationError(
                    f"The audit log cannot be written in {str(folder)!r} ({error.strerror}). Choose another "
                    "folder with PLUMBLINE_AUDIT_FOLDER."
                ) from error
        if fsync == "interval":
            threading.Thread(target=self._sync_sometimes, daemon=True, name="audit-fsync").start()

    def write(self, event: str, **fields: Any) -> None:
        """Append one line. With fsync ``always`` it is on the disk when this returns.

        Raises:
            OSError: it could not be written; the file stays as it was.
        """
        with self._turn:
            if self._closed.is_set():
                raise OSError(errno.EBADF, "the audit log is closed")
            descriptor = self._open() if self._descriptor is None else self._descriptor
            self._put(descriptor, event, fields)
            if self._fsync == "always":
                os.fsync(descriptor)
        self._dirty.set()

    def close(self) -> None:
        """Force the file to the disk and let it go. May be repeated."""
        with self._turn:
            if self._closed.is_set():
                return
            self._closed.set()
            self._dirty.set()
            if self._descriptor is None:
                return
            if self._fsync != "never":
                os.fsync(self._descriptor)
            os.close(self._descriptor)

    def _open(self) -> int:
        """Begin the file with its first line; none is left behind if that cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        last = newest_head(self._folder)
        name = f"{self._now():%Y%m%dT%H%M%S.%f}-{self._writer}-{secrets.token_hex(4)}{SUFFIX}"
        self.path = self._folder / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            after = {"after_file": last[0], "after_hash": last[1]} if last else {}
            self._put(descriptor, "opened", {"writer": self._writer, **after})
        except OSError:
            self.path.unlink()
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor

    def _put(self, descriptor: int, event: str, fields: dict[str, Any]) -> None:
        at = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        line, digest = line_of({**fields, "event": event, "at": at, "n": self._count}, self._previous)
        _append(descriptor, f"{line}\n".encode())
        self._previous, self._count = digest, self._count + 1

    def _sync_sometimes(self) -> None:
        while not self._closed.wait(SYNC_INTERVAL_S):
            if self._dirty.is_set():
                self._dirty.clear()
                with self._turn, contextlib.suppress(OSError):
                    if self._descriptor is not None and not self._closed.is_set():
                        os.fsync(self._descriptor)


def _append(descriptor: int, data: bytes) -> None:
    size = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, "only a part of the line was written")
    except OSError:
        # Half a line would break the chain for every later one.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def audit_files(folder: Path) -> list[Path]:
    """The log's files, in the order in which they were begun."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def newest_head(folder: Path) -> tuple[str, str] | None:
    """Name and last hash of the file that was begun last; None if there is none with a whole line."""
    for path in reversed(audit_files(folder)):
        head = last_hash(path)
        if head is not None:
            return path.name, head
    return None


def last_hash(path: Path) -> str | None:
    """The hash of a file's last whole line."""
    for raw in reversed(tail_lines(path)):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if raw.endswith(b"\n"):
                return str(json.loads(raw)["hash"])
    return None


def tail_lines(path: Path) -> list[bytes]:
    """The lines at the end of a file; the first one may lack its beginning."""
    with path.open("rb") as handle:
        handle.seek(max(handle.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
        return handle.read().splitlines(keepends=True)


def open_log(settings: AuditSettings, data_folder: Path, writer: str = "ingress") -> AuditLog | None:
    """The log that the settings ask for; None if it is off. Raises ConfigurationError as `AuditLog` does."""
    if not settings.enabled:
        return None
    return AuditLog(log_folder(settings, data_folder), writer, settings.fsync)


def log_folder(settings: AuditSettings, data_folder: Path) -> Path:
    return resolve(settings.folder) if settings.folder else data_folder / FOLDER
