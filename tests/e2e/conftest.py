"""The whole system as an operator starts it: `plumbline up` in a process and a data folder of its own."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_support import Operator


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def operator() -> Iterator[Operator]:
    """With an empty data folder; nothing runs yet, and nothing is left running."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-e2e-"))
    # The embedded server's unprivileged user must be able to enter.
    folder.chmod(0o711)
    port = _free_port()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PLUMBLINE_", "DATABASE_"))
    }
    made = Operator(
        kept | {"PLUMBLINE_DATA_DIR": str(folder / "state"), "PLUMBLINE_PORT": str(port), "COLUMNS": "160"},
        port,
    )
    try:
        yield made
    finally:
        made.run("down")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def running(operator: Operator) -> Operator:
    started = operator.run("up", "--detach")
    assert started.returncode == 0, started.stderr
    assert started.stdout == f"http://127.0.0.1:{operator.port}\n"
    return operator
