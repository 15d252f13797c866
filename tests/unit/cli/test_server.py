"""What the server tells of a start that failed."""

import pytest

from serve_app.cli.server import _last_line
from serve_app.errors import ModelUnavailable

DAMAGED = "The file model.safetensors is damaged."


@pytest.mark.parametrize(
    ("traceback", "told"),
    [
        (f"serve_app.errors.ModelUnavailable: {ModelUnavailable(DAMAGED)!s}\n\n", DAMAGED),
        ("RuntimeError: out of memory\n", "RuntimeError: out of memory"),
        ("\n", "no reason was given"),
    ],
)
def test_the_reason_is_the_last_line_without_the_name_of_our_own_errors(traceback: str, told: str) -> None:
    assert _last_line(traceback) == told
