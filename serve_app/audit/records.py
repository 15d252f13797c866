"""What the audit log says of questions, statements, feedback and refusals: no rows, no secrets."""

import logging
from typing import Any, Protocol

from serve_app.contracts import Caller, Feedback
from serve_app.trace import Trace

_log = logging.getLogger("plumbline.audit")


class Writer(Protocol):
    """Where the lines go."""

    def write(self, event: str, **fields: Any) -> None: ...


class Auditor:
    """One line for each event. A log that cannot be written is told in the ordinary log, loudly."""

    def __init__(self, writer: Writer | None = None) -> None:
        self._writer = writer

    def question(self, trace: Trace) -> None:
        self._write("question", **_of_trace(trace), question=trace.question.text)

    def statement(self, trace: Trace) -> None:
        """SQL that a person ran; ``given`` is what the person sent."""
        self._write("sql", **_of_trace(trace), given=trace.question.text)

    def feedback(self, feedback: Feedback, request_id: str) -> None:
        self._write(
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

    def _write(self, event: str, **fields: Any) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(event, **fields)
        except (OSError, ValueError) as error:
            _log.error(
                "audit line lost",
                extra={"request_id": fields.get("request_id"), "event": event, "detail": str(error)},
            )


def who(caller: Caller) -> dict[str, Any]:
    return {
        "user_id": caller.user_id,
        "organization_id": caller.organization_id,
        "policy": caller.policy,
        "credential_id": caller.credential_id,
    }


def _of_trace(trace: Trace) -> dict[str, Any]:
    return {
        **who(trace.question.caller),
        "request_id": trace.question.request_id,
        "conversation_id": trace.conversation_id,
        "sql": trace.sql,
        "verdict": trace.verdict,
        "row_count": trace.row_count,
        "outcome": trace.outcome,
    }
