"""Structured logs: one JSON object a line, with the request's id. Configured by a call, never on import."""

import json
import logging
import os
import re
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from serve_app.contracts import Caller
from serve_app.errors import PlumblineError

LOGGER = "plumbline"

# User and password of any URL, wherever it turns up (a driver's text, a settings dump).
# Sought from the colon on: a pattern that began with the scheme took the square of the length of a word.
_CREDENTIALS = re.compile(r'://[^\s/"]+@')


class _SafeFormatter(JsonFormatter):
    """JSON with the credentials of URLs masked in every text, stack traces included.

    What a terminal would obey or hide, and what some readers take for the end of a line, is escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = _CREDENTIALS.sub("://***@", super().format(record))
        return line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line)


def _escaped(character: str) -> str:
    # Outside of its texts JSON in one line has printable characters only.
    return json.dumps(character)[1:-1]


class _LogFile(WatchedFileHandler):
    """A file whose loss, or whose full disk, costs lines and never what was logged about.

    Each line is one write without a buffer, whose remains would be mixed with later lines after a full disk.
    """

    _is_torn = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}{self.terminator}".encode(errors="backslashreplace")
            self.reopenIfNeeded()
            if self.stream is None:
                self.stream = self._open()
            data = b"\n" + line if self._is_torn else line
            self._is_torn = os.write(self.stream.fileno(), data) < len(data)
        except OSError:
            # The lines also go to standard error; to tell there of each lost one would help nobody.
            return
        except Exception:
            self.handleError(record)


def configure_logging(level: str, file: Path | None, stage: str) -> None:
    """Send the project's logs to standard error and, if given, a file. May be repeated."""
    formatter = _SafeFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        static_fields={"deployment": stage},
        json_ensure_ascii=False,
    )
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        # Six processes share the file: a rotation moves it away, and each opens the new one by itself.
        handlers.append(_LogFile(file, encoding="utf-8", delay=True))
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)


def log_error(
    error: BaseException,
    request_id: str,
    caller: Caller | None = None,
    question: str | None = None,
    conversation_id: str | None = None,
    **more: Any,
) -> None:
    """One line with the stack trace and whose question it was; the time is the record's own."""
    logging.getLogger(LOGGER).error(
        "error",
        exc_info=error,
        extra={
            "request_id": request_id,
            "error_type": getattr(error, "type", "internal_error"),
            "error_detail": getattr(error, "detail", None),
            "user_id": caller.user_id if caller else None,
            "organization_id": caller.organization_id if caller else None,
            "question": question,
            "conversation_id": conversation_id,
            **more,
        },
    )


def log_refusal(error: PlumblineError, request_id: str, path: str) -> None:
    """One line without a stack trace: a credential or a limit that did not hold is no fault of the server."""
    logging.getLogger(LOGGER).warning(
        "refused",
        extra={
            "request_id": request_id,
            "error_type": error.type,
            "status": error.status,
            "error_detail": error.detail,
            "path": path[:200],
        },
    )
