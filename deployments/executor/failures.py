"""Driver and server failures as errors that users may see, with no driver or server text in ``message``."""

import asyncpg

from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    Overloaded,
    PermissionDenied,
    PlumblineError,
    SchemaChanged,
)

# What the driver raises where the server refuses or is away. InternalClientError: it has read that the server
# ends the session, but not yet the end itself, and is asked for something.
DRIVER_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

READ_ONLY = "This service only reads data, so nothing was changed. Ask a question about the data instead."
TOO_LARGE = "The query needs more memory or space than it may use. Narrow it down, for example to one month."
NOT_SQL = "The query is not valid SQL. Try asking it in other words."
UNSUPPORTED_TYPE = "The result holds a kind of value that cannot be shown. Ask for other columns."

NO_CONNECTION_LEFT = "The database takes no more connections right now. Please try again in a few seconds."
RETRY_AFTER_S = 5.0

# Exact SQLSTATEs first, then their two-character classes.
BY_STATE: dict[str, PlumblineError] = {
    "42501": PermissionDenied(),
    "25006": PermissionDenied(READ_ONLY),
    "57014": ExecutionTimeout(),
    "25P03": ExecutionTimeout(),
    "25P04": ExecutionTimeout(),
    "55P03": ExecutionTimeout(
        "The data is being changed by someone else right now. Please try again in a moment."
    ),
    "22012": ExecutionFailed(
        "The query divides by zero for some rows. Ask for rows where that value is not zero."
    ),
    "22003": ExecutionFailed("A number in the query is too large. Use smaller numbers."),
    "22008": ExecutionFailed("A date in the query is out of range. Use a date between the years 1 and 9999."),
    "22007": ExecutionFailed("A date in the query cannot be read. Write dates like 2025-03-31."),
    "22P02": ExecutionFailed(
        "A value in the query does not fit the type of its column. Check the value you asked for."
    ),
    "21000": ExecutionFailed(
        "Part of the query gave several rows where one was needed. Ask about one thing at a time."
    ),
    "42P01": SchemaChanged("The query uses a table that does not exist. Try asking it in other words."),
    "42703": SchemaChanged("The query uses a column that does not exist. Try asking it in other words."),
    "42601": ExecutionFailed(NOT_SQL),
    "53200": ExecutionFailed(TOO_LARGE),
    "53300": Overloaded(NO_CONNECTION_LEFT, retry_after_s=RETRY_AFTER_S),
    "53400": ExecutionFailed(TOO_LARGE),
}
BY_CLASS: dict[str, PlumblineError] = {
    "08": DatabaseUnavailable(),
    "28": DatabaseUnavailable(),
    "3D": DatabaseUnavailable(),
    "53": DatabaseUnavailable(),
    "57": DatabaseUnavailable(),
    "58": DatabaseUnavailable(),
    "40": DatabaseUnavailable("The database was busy with another change. Please try again in a moment."),
    "54": ExecutionFailed("The query is too complex for the database. Ask for less at a time."),
    "22": ExecutionFailed("A value in the query does not fit the data. Check the values you asked for."),
}


def as_plumbline_error(error: BaseException) -> PlumblineError:
    """The error to raise for what asyncpg or the network raised; ``detail`` keeps the cause for the log."""
    if isinstance(error, PlumblineError):
        return error
    state = getattr(error, "sqlstate", None) if isinstance(error, asyncpg.PostgresError) else None
    detail = f"{type(error).__name__} {state or '-'}: {error}"
    if state:
        known = BY_STATE.get(state) or BY_CLASS.get(state[:2]) or ExecutionFailed()
        return type(known)(known.message, detail=detail, retry_after_s=known.retry_after_s)
    if isinstance(error, TimeoutError):
        return ExecutionTimeout(detail=detail)
    if isinstance(error, asyncpg.UnsupportedClientFeatureError):
        return ExecutionFailed(UNSUPPORTED_TYPE, detail=detail)
    if isinstance(error, ArithmeticError | RecursionError):
        return ExecutionFailed(UNSUPPORTED_TYPE, detail=detail)
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return DatabaseUnavailable(detail=detail)
    return ExecutionFailed(detail=detail)


def is_interruption(error: BaseException) -> bool:
    """A statement or a session that the server ended: the connection is not to be used again."""
    return isinstance(as_plumbline_error(error), ExecutionTimeout | DatabaseUnavailable)


# The server is there but would not do it: a conflict with another transaction, or too few resources.
STILL_THERE = ("40", "53")


def is_loss(error: BaseException) -> bool:
    """The server went away, as opposed to a cancellation, a failing statement or a busy server."""
    if not isinstance(error, Exception) or str(getattr(error, "sqlstate", "")).startswith(STILL_THERE):
        return False
    return isinstance(as_plumbline_error(error), DatabaseUnavailable)
