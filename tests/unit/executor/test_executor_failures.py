"""Every failure of the driver or the server becomes an error that a user can act on."""

import inspect

import asyncpg
import pytest

from deployments.executor.failures import as_plumbline_error, is_interruption, is_loss
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    Overloaded,
    PermissionDenied,
    PlumblineError,
    SchemaChanged,
)

SERVER_TEXT = 'invalid input syntax for type integer: "Worker 17"'
SERVER_ERRORS = [
    error
    for _, error in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(error, asyncpg.PostgresError) and getattr(error, "sqlstate", None)
]


@pytest.mark.parametrize("error_class", SERVER_ERRORS, ids=lambda error: error.__name__)
def test_server_text_stays_in_the_detail(error_class: type[asyncpg.PostgresError]) -> None:
    error = as_plumbline_error(error_class(SERVER_TEXT))
    assert isinstance(error, ExecutionFailed | ExecutionTimeout | PermissionDenied | Overloaded)
    assert "Worker 17" not in error.message
    assert "Worker 17" in str(error.detail)
    assert str(error_class.sqlstate) in str(error.detail)


@pytest.mark.parametrize(
    ("raised", "expected", "interruption", "loss"),
    [
        (asyncpg.InsufficientPrivilegeError("x"), PermissionDenied, False, False),
        (asyncpg.ReadOnlySQLTransactionError("x"), PermissionDenied, False, False),
        (asyncpg.QueryCanceledError("x"), ExecutionTimeout, True, False),
        (asyncpg.DivisionByZeroError("x"), ExecutionFailed, False, False),
        (asyncpg.AdminShutdownError("x"), DatabaseUnavailable, True, True),
        (asyncpg.TooManyConnectionsError("x"), Overloaded, False, False),
        (asyncpg.UndefinedTableError("x"), SchemaChanged, False, False),
        (asyncpg.UndefinedColumnError("x"), SchemaChanged, False, False),
        (asyncpg.SerializationError("conflict with recovery"), DatabaseUnavailable, True, False),
        (asyncpg.ConnectionDoesNotExistError("x"), DatabaseUnavailable, True, True),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable, True, True),
        (asyncpg.UnsupportedClientFeatureError("x"), ExecutionFailed, False, False),
        (ConnectionResetError(), DatabaseUnavailable, True, True),
        (TimeoutError(), ExecutionTimeout, True, False),
        (OverflowError("x"), ExecutionFailed, False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_kinds(raised: Exception, expected: type[PlumblineError], interruption: bool, loss: bool) -> None:
    error = as_plumbline_error(raised)
    assert type(error) is expected
    assert (is_interruption(raised), is_loss(raised)) == (interruption, loss)
    assert as_plumbline_error(error) is error
