"""The error tree: what its module says of it is so."""

import pickle
import re

import pytest

from serve_app import errors
from serve_app.errors import PlumblineError


def tree(base: type[PlumblineError] = PlumblineError) -> list[type[PlumblineError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in tree(child))]


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_crosses_a_process_border_whole(kind: type[PlumblineError]) -> None:
    sent = kind("Not so. Try again.", detail="driver text", rule="size", retry_after_s=1.5)
    received = pickle.loads(pickle.dumps(sent))
    assert type(received) is kind
    assert vars(received) == vars(sent)
    assert (received.type, received.status, received.retryable) == (sent.type, sent.status, sent.retryable)
    # What is printed of it, in a log or by a caller, is for users.
    assert "driver text" not in str(received)


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = re.findall(r"^ *- (\w+)(?: +(\d{3}))?", errors.__doc__ or "", re.MULTILINE)
    real = {
        kind.__name__: str(kind.status) for kind in tree() if kind.__module__ == PlumblineError.__module__
    }
    assert {name for name, _ in drawn} == set(real)
    assert [name for name, status in drawn if status and real[name] != status] == []
