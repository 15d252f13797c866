"""Saved runs, and the README's tables of them."""

from pathlib import Path

import pytest

from serve_app.evaluation.items import EvaluationFileError
from serve_app.evaluation.markdown import accuracy_table, failure_table
from serve_app.evaluation.report import make_report
from serve_app.evaluation.run import Scored
from serve_app.evaluation.saved import SavedRun, load_run, make_run, save, without_text


def scored(id: str, **fields: object) -> Scored:
    values = {"id": id, "kind": "single", "question": f"{id}?", "right": True, "latency_ms": 4.0}
    return Scored.model_validate(values | fields)


def saved_run() -> SavedRun:
    wrong = scored("b", right=False, failure="query_shape", difficulty="hard", sql="SELECT 1", detail="none")
    unanswerable = scored("u", kind="unanswerable", right=False, failure="answered")
    refused = scored("c", right=False, failure="refused", difficulty="simple")
    return make_run(
        "here",
        [
            make_report("x/single.jsonl", [scored("a", difficulty="simple", answered=True), wrong, refused]),
            make_report("validation-w-unanswerable.jsonl", [unanswerable]),
        ],
    )


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    run = saved_run()
    save(run, tmp_path / "run.json")
    assert load_run(tmp_path / "run.json") == run


def test_a_run_without_text_keeps_every_figure() -> None:
    run = saved_run()
    bare = without_text(run)
    text = bare.model_dump_json()
    assert "a?" not in text
    assert "SELECT" not in text
    for before, after in zip(run.files, bare.files, strict=True):
        assert before.model_copy(update={"results": ()}) == after.model_copy(update={"results": ()})
        assert [r.id for r in before.results] == [r.id for r in after.results]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no run saved by"), ('{"target": "x", "at": "2026-01-01T00:00:00Z", "files": []}', "files")],
)
def test_a_file_that_is_no_run_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(EvaluationFileError, match=message):
        load_run(tmp_path / "run.json")
    with pytest.raises(EvaluationFileError, match="cannot be read"):
        load_run(tmp_path / "none.json")
    with pytest.raises(EvaluationFileError, match="cannot be written"):
        save(saved_run(), tmp_path / "no" / "run.json")


def test_the_tables_of_the_readme() -> None:
    lines = accuracy_table(saved_run()).splitlines()
    assert lines[2] == (
        "| development questions (`single.jsonl`) | **33 %** (1 of 3) | 1 of 2 | – | 0 of 1 | 1 | – | 4, 4 |"
    )
    assert lines[3] == (
        "| held-out writer: unanswerable questions (`validation-w-unanswerable.jsonl`) | **0 %** (0 of 1) "
        "| – | – | – | – | 0 of 1 | 4, 4 |"
    )
    assert failure_table(saved_run()).splitlines()[2:] == [
        "| `query_shape` | 1 | 25.0 |",
        "| `answered` | 1 | 25.0 |",
        "| `refused` | 1 | 25.0 |",
    ]
