"""What every response of the HTTP API must be like, whatever became of the call."""

from collections.abc import Iterator

from serve_app.errors import PlumblineError

# The keys of a ChatResponse.
SHAPE = frozenset(
    {
        *("success", "data", "answer", "clarification", "error", "sql", "execution_time_ms"),
        *("conversation_id", "metadata"),
    }
)
TYPES = frozenset(
    {
        *("model_unavailable", "generation_failed", "generation_timeout", "validation_failed"),
        *("execution_failed", "execution_timeout", "permission_denied", "conversation_not_found"),
        *("invalid_request", "overloaded"),
    }
)
# Text of drivers, tracebacks and connection strings.
TELLTALE = ("Traceback", "asyncpg", "sqlalchemy", "postgresql://", "RayTaskError", "ray::", 'File "')
UNHANDLED = 500
# Refusals of the HTTP layer itself, all reported as `invalid_request`.
UNREADABLE = frozenset({400, 404, 405, 408, 413, 415, 422, 431})


def documented_errors() -> frozenset[tuple[str, int]]:
    """Every pair of ``error.type`` and HTTP status that a call may end with; an unhandled fault is none."""
    tree = {(kind.type, kind.status) for kind in _subclasses(PlumblineError) if kind.status != UNHANDLED}
    return frozenset(tree | {("invalid_request", status) for status in UNREADABLE})


def _subclasses(kind: type[PlumblineError]) -> Iterator[type[PlumblineError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)
