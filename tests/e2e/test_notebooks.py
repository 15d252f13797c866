"""The notebooks run as they stand, against a running instance."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli_support import Operator

pytestmark = pytest.mark.e2e

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# Their figures take a quarter of an hour to make, so a reader finds what they printed.
KEPT = ("your-own-schema", "evaluation")
# Enough for every step of the tutorial to happen; the figures of its text need its own eleven minutes.
TUTORIAL_MINUTES = "0.2"


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(notebook: Path, running: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_URL", running.url)
    monkeypatch.setenv("TUTORIAL_MINUTES", TUTORIAL_MINUTES)
    names: dict[str, Any] = {}
    try:
        for number, cell in enumerate(code_cells(notebook)):
            exec(compile("".join(cell["source"]), f"{notebook.name}, code cell {number}", "exec"), names)
    finally:
        # The tutorial's last cell ends its database and instance and removes their folder, unless one fails
        # before.
        if "server" in names and Path(names["WORK"]).exists():
            names["plumbline"]("down")
            names["server"].stop()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_output_is_kept_of_what_takes_long_alone(notebook: Path) -> None:
    printed = [cell for cell in code_cells(notebook) if cell["outputs"]]
    if notebook.stem not in KEPT:
        assert not printed
        return
    assert len(printed) >= len(code_cells(notebook)) - 1
    text = json.dumps([cell["outputs"] for cell in printed])
    assert "postgresql://" not in text
    assert "Traceback" not in text
