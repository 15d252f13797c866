"""A short run of the load with faults: every part of the program at work, every claim held."""

import json
from pathlib import Path

import pytest

from tests.performance.load_with_faults.__main__ import main

# Starting the instance alone takes most of a minute on a busy machine.
pytestmark = [pytest.mark.performance, pytest.mark.postgres]


def test_a_short_run_holds_its_claims(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    given = [
        "--minutes",
        "1",
        "--questions",
        "8",
        "--seed",
        "1",
        "--faults",
        "killed",
        "--output",
        str(output),
    ]
    status = main(given)
    found = json.loads(output.read_text(encoding="utf-8"))
    assert all(found["claims"].values()), found
    assert found["faults"]
    assert status == 0
