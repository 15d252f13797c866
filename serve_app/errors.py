"""The error tree. Every class keeps a stable ``type``, its HTTP ``status`` and whether a retry can help.

- PlumblineError
  - InvalidRequest            400  the request itself is wrong
  - PermissionDenied          403
    - Unauthenticated         401  no credential, or none that holds (reported as ``permission_denied``)
  - ConversationNotFound      404
  - ValidationFailed          422  no safe SQL after all repairs (``rule``)
  - ExecutionFailed           422  the database refused or failed the statement
    - SchemaChanged           422  it names what the database no longer has (reported as ``execution_failed``)
  - GenerationFailed          502
  - OutputTooLong             502  (reported as ``generation_failed``)
  - ModelUnavailable          503
  - DatabaseUnavailable       503  (reported as ``execution_failed``)
  - StoreUnavailable          503  the conversation store (reported as ``internal_error``)
  - AuditUnavailable          503  the audit log, where it is required (reported as ``internal_error``)
  - Overloaded                503  (``retry_after_s``)
    - RateLimited             429  the caller's own limit (reported as ``overloaded``)
  - GenerationTimeout         504
  - ExecutionTimeout          504
  - ConfigurationError        start-up only: every fault at once

``message`` is for users: what was wrong and what to do. ``detail`` is for logs and never leaves the server.
All survive pickling between Serve processes: `tests/unit/serve_app/test_errors.py` checks every subclass.
"""

from typing import ClassVar

RESTARTING = "A part of the service is restarting. Please try again in a few seconds."


class PlumblineError(Exception):
    """Base of all errors that a user may see."""

    type: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "Something went wrong on our side. Please try again in a moment."

    def __init__(
        self,
        message: str | None = None,
        detail: str | None = None,
        rule: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.detail = detail
        self.rule = rule
        self.retry_after_s = retry_after_s
        super().__init__(self.message, detail, rule, retry_after_s)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class InvalidRequest(PlumblineError):
    """The request cannot be read: wrong types, empty question, too long."""

    type = "invalid_request"
    status = 400
    default_message = "The request could not be read. Check the fields and send it again."


class PermissionDenied(PlumblineError):
    """The caller may not see what was asked for."""

    type = "permission_denied"
    status = 403
    default_message = "You do not have access to that data. Ask your administrator if you need it."


class Unauthenticated(PermissionDenied):
    """The request brings no credential, or one that does not hold."""

    status = 401
    default_message = "This server asks for a credential. Send it as Authorization: Bearer <credential>."


class ConversationNotFound(PlumblineError):
    """No conversation of this caller has that id."""

    type = "conversation_not_found"
    status = 404
    default_message = (
        "That conversation does not exist or was deleted. Start a new one by leaving out conversation_id."
    )


class ValidationFailed(PlumblineError):
    """No statement passed the checks within the allowed repairs; ``rule`` names the last failing rule."""

    type = "validation_failed"
    status = 422
    default_message = "I could not turn that into a query that is safe to run. Try asking it in other words."


class ExecutionFailed(PlumblineError):
    """The database could not run a statement that passed the checks."""

    type = "execution_failed"
    status = 422
    default_message = "The database could not run the query. Try asking it in other words."


class SchemaChanged(ExecutionFailed):
    """The statement names a table or column that is gone: the schema it was checked by is out of date."""

    default_message = (
        "The query uses a table or column that does not exist any more. Please ask again, in other words."
    )


class DatabaseUnavailable(ExecutionFailed):
    """The database cannot be reached; the next attempt may succeed."""

    status = 503
    retryable = True
    default_message = "The database cannot be reached right now. Please try again in a moment."


class GenerationFailed(PlumblineError):
    """The model did not produce usable output."""

    type = "generation_failed"
    status = 502
    retryable = True
    default_message = "The language model could not produce an answer. Please try again."


class OutputTooLong(PlumblineError):
    """The output met its limit before it was whole; the same question would again."""

    type = "generation_failed"
    status = 502
    default_message = "The answer became too long to finish. Ask for less at once, or in other words."


class ModelUnavailable(PlumblineError):
    """The model is not loaded (yet)."""

    type = "model_unavailable"
    status = 503
    retryable = True
    default_message = "The language model is not ready. Please try again in a moment."


class Overloaded(PlumblineError):
    """Too many questions at once; ``retry_after_s`` says when to come back."""

    type = "overloaded"
    status = 503
    retryable = True
    default_message = "Too many questions are being answered right now. Please try again in a few seconds."


class RateLimited(Overloaded):
    """The caller has used up what one caller may ask in a minute or a day."""

    status = 429
    default_message = "You have asked as often as you may for now. Please try again later."


class GenerationTimeout(PlumblineError):
    """The model took longer than its time limit."""

    type = "generation_timeout"
    status = 504
    retryable = True
    default_message = "The language model took too long. Try a simpler question, or try again."


class ExecutionTimeout(PlumblineError):
    """The database took longer than its time limit."""

    type = "execution_timeout"
    status = 504
    default_message = "The query took too long. Narrow it down, for example to one project or one month."


class StoreUnavailable(PlumblineError):
    """The conversation store cannot be read or written; answers themselves do not need it."""

    status = 503
    retryable = True
    default_message = "The conversation could not be loaded or saved right now. Please try again in a moment."


class AuditUnavailable(PlumblineError):
    """What is asked cannot be recorded, and nothing is answered without a record."""

    status = 503
    retryable = True
    default_message = (
        "This server records every question and cannot write the record right now, so it answers none. Ask "
        "your administrator, or try again later."
    )


class ConfigurationError(PlumblineError):
    """Settings are wrong; ``message`` lists every fault with the variable, its value and what is allowed."""

    type = "configuration_error"
