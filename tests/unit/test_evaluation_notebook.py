"""The evaluation notebook shows the saved run and the weights that are in the repository."""

import json
from pathlib import Path
from typing import Any

from serve_app.evaluation.saved import load_run

ROOT = Path(__file__).parents[2]
EVALUATION = ROOT / "notebooks" / "evaluation.ipynb"


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def test_the_evaluation_was_run_to_its_end_in_order() -> None:
    code = cells(EVALUATION)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])


def test_the_evaluation_shows_the_saved_run_and_the_weights_at_hand() -> None:
    first = cells(EVALUATION)[0]
    told = "".join(text for output in first["outputs"] for text in output.get("text", ()))
    run = load_run(ROOT / "tests/data/eval/house-run.json")
    record = json.loads((ROOT / "configs/models/house/weights/training_run.json").read_text(encoding="utf-8"))
    assert run.at.isoformat() in told, "run `make notebooks`"
    assert record["finished_at"] in told, "run `make notebooks`"
