"""What the README says is true: settings, commands, routes, metrics, files."""

import json
import re
from pathlib import Path

import pytest

from serve_app import metrics
from serve_app.evaluation.markdown import accuracy_table, failure_table
from serve_app.evaluation.saved import load_run
from serve_app.settings.registry import readme_table
from tests.performance.load_with_faults.report import readme_text

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
METRIC = re.compile(r"(mistral|plumbline)_\w+")
NAMED_FILES = sorted(set(re.findall(r"`((?:serve_app|deployments|configs|tests)/[\w/.-]+)`", README)))


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_configuration_table_is_the_settings_own() -> None:
    table = README.split("<!-- settings -->\n")[1].split("\n<!-- /settings -->")[0]
    assert table.strip() == readme_table().strip(), "paste serve_app.settings.registry.readme_table() there"


def test_the_figures_are_the_saved_runs() -> None:
    run = load_run(ROOT / "tests/data/eval/house-run.json")
    tables = README.split("<!-- evaluation -->\n")[1].split("\n<!-- /evaluation -->")[0]
    assert tables.strip() == f"{accuracy_table(run)}\n\n{failure_table(run)}", (
        "paste the output of `plumbline eval --show tests/data/eval/house-run.json --markdown` there"
    )


def test_the_figures_of_the_load_are_the_recorded_run() -> None:
    found = json.loads((ROOT / "tests/performance/results/load_with_faults.json").read_text(encoding="utf-8"))
    assert all(found["claims"].values())
    text = README.split("<!-- load -->\n")[1].split("\n<!-- /load -->")[0]
    assert text == readme_text(found), "paste readme_text() of that file there"


def test_the_figures_of_the_fuzzing_are_the_recorded_run() -> None:
    found = json.loads((ROOT / "tests/performance/results/fuzz.json").read_text(encoding="utf-8"))
    assert found["generated"] >= 1_000_000
    assert (found["failures"], found["database_unchanged"]) == ([], True)
    counts = [f"{found[name]:,}" for name in ("generated", "distinct", "accepted_distinct")]
    for text in (
        f"--seed {found['seed']} --workers {found['workers']}",
        "{} statements, {} distinct, {} distinct ones accepted".format(*counts),
        f"took over {found['slowest_processor_s']:g} s",
    ):
        assert text in README


def test_every_make_target_exists() -> None:
    commands = "\n".join(fenced("sh") + re.findall(r"`([^`\n]+)`", README))
    named = set(re.findall(r"\bmake ([a-z]+)\b", commands))
    assert named
    assert named <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def test_every_command_exists() -> None:
    from typer.main import get_command

    from serve_app.cli.app import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:bin/|`)plumbline ([a-z-]+)", README))
    assert named
    assert named <= known


def test_every_metric_is_documented() -> None:
    names = {value for value in vars(metrics).values() if isinstance(value, str) and METRIC.fullmatch(value)}
    assert names
    assert all(f"`{name}`" in README for name in names)


def test_every_posted_body_is_json() -> None:
    bodies = re.findall(r"-d '(.+?)'", README)
    assert bodies
    for body in bodies:
        json.loads(body)


@pytest.mark.parametrize("path", NAMED_FILES)
def test_every_named_file_exists(path: str) -> None:
    assert (ROOT / path).exists()
