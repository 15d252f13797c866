"""The end of an instance; the last module, since nothing of the session's instance is left after it."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.cli_support import START_TIMEOUT_S, Operator

pytestmark = pytest.mark.e2e


def test_down_leaves_no_process_and_a_new_start_finds_the_data(running: Operator) -> None:
    """It ends the session's instance, starts one in the foreground, and interrupts that."""
    facts = running.status()
    pid = facts["pid"]
    assert isinstance(pid, int)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert running.run("down").returncode == 0
    assert not any(process.is_running() for process in family)
    assert running.status()["running"] is False

    command = [sys.executable, "-m", "serve_app.cli", "up"]
    foreground = subprocess.Popen(
        command,
        env=running.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell ignores SIGINT in what it starts in the background, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert foreground.stdout is not None
    assert foreground.stdout.readline() == f"{running.url}\n"
    assert running.run("schema").stdout.count("TABLE ") == 8
    os.kill(foreground.pid, signal.SIGINT)
    _, told = foreground.communicate(timeout=START_TIMEOUT_S)
    assert foreground.returncode == 0, told
    assert running.status()["running"] is False
