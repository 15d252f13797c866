"""The whole system as an operator starts it: `plumbline up` in a process and a data folder of its own."""

from collections.abc import Iterator

import pytest

from tests.cli_support import Operator, fresh_operator


@pytest.fixture(scope="session")
def operator() -> Iterator[Operator]:
    with fresh_operator() as made:
        yield made


@pytest.fixture(scope="session")
def running(operator: Operator) -> Operator:
    started = operator.run("up", "--detach")
    assert started.returncode == 0, started.stderr
    assert started.stdout == f"{operator.url}\n"
    return operator
