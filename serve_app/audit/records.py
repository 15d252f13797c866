"""What the audit log says of questions, statements, feedback and refusals: no rows, no secrets."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from serve_app.contracts import Caller, Feedback
from serve_app.errors import AuditUnavailable, PlumblineError
from serve_app.trace import Trace

_log = logging.getLogger("plumbline.audit")

# Whoever has no credential must not be able to fill the disk.
MOST_REFUSALS = 60
REFUSALS_PERIOD_S = 60.0


class Writer(Protocol):
    """Where the lines go."""

    def write(self, event: str, **fields: Any) -> None: ...


class Auditor:
    """One line for each event. A log that cannot be written is told in the ordinary log, loudly.

    How many lines are missing stands in the log itself, in a line before the next one. Methods give whether
    the event may be answered: always, unless the log is ``required``.
    """

    def __init__(
        self,
        writer: Writer | None = None,
        required: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._required = required
        self._lost = 0
        self._refusals = _Bound(clock)

    def asked(self, trace: Trace) -> None:
        """That something is asked, before any of it is done: rows of a stream leave before its last line.

        Raises:
            AuditUnavailable: the log is required and cannot be written.
        """
        if self._required and not self._write("asked", **_asked(trace), question=trace.question.text):
            raise AuditUnavailable

    def question(self, trace: Trace) -> bool:
        return self._write("question", **_of_trace(trace), question=trace.question.text)

    def statement(self, trace: Trace) -> bool:
        """SQL that a person ran; ``given`` is what the person sent."""
        return self._write("sql", **_of_trace(trace), given=trace.question.text)

    def fault(self) -> str | None:
        """What an operator should know of the log; None if all is well. It is tried again first."""
        lost = self._lost
        if not lost or self._told_gap():
            return None
        return f"The audit log cannot be written; {lost} {'line is' if lost == 1 else 'lines are'} missing."

    @property
    def is_required(self) -> bool:
        return self._required

    def feedback(self, feedback: Feedback, request_id: str) -> bool:
        return self._write(
            "feedback",
            **who(feedback.caller),
            request_id=request_id,
            feedback_id=feedback.id,
            conversation_id=feedback.conversation_id,
            exchange=feedback.position,
            verdict=feedback.verdict,
            question=feedback.question,
            sql=feedback.sql,
            outcome=feedback.status,
        )

    def denied(
        self, user_id: str, credential_id: str | None, organization_id: str | None, request_id: str
    ) -> None:
        """A caller who holds a credential named an organization of others."""
        self._write(
            "denied",
            user_id=user_id,
            organization_id=organization_id,
            credential_id=credential_id,
            request_id=request_id,
            outcome="permission_denied",
        )

    def refused(self, error: PlumblineError, path: str, request_id: str) -> None:
        """A call that did not come through the door, of which at most `MOST_REFUSALS` a period are written.

        ``unwritten`` of a line is how many since the line before were not.
        """
        unwritten = self._refusals.admit()
        if unwritten is None:
            return
        self._write(
            "refused",
            path=path[:200],
            status=error.status,
            reason=error.detail,
            request_id=request_id,
            outcome=error.type,
            unwritten=unwritten,
        )

    def _write(self, event: str, **fields: Any) -> bool:
        if self._writer is None:
            return True
        try:
            self._tell_gap(self._writer)
            self._writer.write(event, **fields)
        except (OSError, ValueError) as error:
            self._lost += 1
            _log.error(
                "audit line lost",
                extra={"request_id": fields.get("request_id"), "event": event, "detail": str(error)},
            )
            return not self._required
        return True

    def _told_gap(self) -> bool:
        try:
            if self._writer is not None:
                self._tell_gap(self._writer)
        except (OSError, ValueError):
            return False
        return True

    def _tell_gap(self, writer: Writer) -> None:
        if self._lost:
            writer.write("gap", lines=self._lost)
            self._lost = 0


class _Bound:
    """Lets `MOST_REFUSALS` pass in a period and counts the others."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends, self._passed, self._held = float("-inf"), 0, 0

    def admit(self) -> int | None:
        """How many were held back since one passed; None if this one is."""
        now = self._clock()
        if now >= self._ends:
            self._ends, self._passed = now + REFUSALS_PERIOD_S, 0
        if self._passed == MOST_REFUSALS:
            self._held += 1
            return None
        self._passed += 1
        held, self._held = self._held, 0
        return held


def who(caller: Caller) -> dict[str, Any]:
    return {
        "user_id": caller.user_id,
        "organization_id": caller.organization_id,
        "policy": caller.policy,
        "credential_id": caller.credential_id,
    }


def _asked(trace: Trace) -> dict[str, Any]:
    return {**who(trace.question.caller), "request_id": trace.question.request_id}


def _of_trace(trace: Trace) -> dict[str, Any]:
    return {
        **_asked(trace),
        "conversation_id": trace.conversation_id,
        "sql": trace.sql,
        "verdict": trace.verdict,
        "row_count": trace.row_count,
        "outcome": trace.outcome,
    }
