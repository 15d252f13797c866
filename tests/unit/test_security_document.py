"""What SECURITY.md names exists: commands, tests, files, settings, calls."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from serve_app.auth.middleware import OPEN_PATHS
from serve_app.cli.app import app
from serve_app.secret_files import SECRETS_VARIABLE
from serve_app.settings import Settings, settings_table
from serve_app.settings.loading import CONFIG_VARIABLE
from tests.injections import CROSSINGS, INJECTIONS, attempts

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", TEXT)
PROOFS = TEXT.split("## What is proven")[1].split("## Known limits")[0]
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))


def test_every_proof_has_a_command_that_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    rows = [line for line in PROOFS.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`make ([a-z]+)", row.split("|")[2])
        assert named, row
        assert set(named) <= targets


@pytest.mark.parametrize("arguments", re.findall(r'ARGS="([^"]+)"', TEXT))
def test_the_arguments_of_a_proof_select_tests(arguments: str) -> None:
    words, _, expression = arguments.partition("-k ")
    folders = [ROOT / word for word in words.split()] or [ROOT / "tests"]
    for folder in folders:
        assert folder.exists(), folder
    files = [file for file in TEST_FILES if any(file == f or f in file.parents for f in folders)]
    assert files
    for word in filter(None, expression.strip("' ").split(" or ")):
        assert any(word in f.name or f"def test_{word}" in f.read_text(encoding="utf-8") for f in files), word


@pytest.mark.parametrize("path", sorted({c for c in CODE if re.fullmatch(r"(tests|serve_app)/[\w/.-]+", c)}))
def test_every_named_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_named_setting_and_variable_exists() -> None:
    known = {setting.variable for setting in settings_table()} | {CONFIG_VARIABLE, SECRETS_VARIABLE}
    named = {word for code in CODE for word in re.findall(r"PLUMBLINE_[A-Z_]+|DATABASE_URL", code)}
    assert len(named) >= 4
    assert named <= known
    paths = {setting.path for setting in settings_table()}
    dotted = {
        c
        for c in CODE
        if re.fullmatch(r"[a-z]+\.([a-z_]+|\*)", c) and c.split(".")[0] in Settings.model_fields
    }
    assert {c for c in dotted if not c.endswith("*")} <= paths
    assert {c.split(".")[0] for c in dotted} <= set(Settings.model_fields)


def test_every_command_and_open_path_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = [code.split()[1:] for code in CODE if code.startswith("plumbline ")]
    assert named
    for name, *more in named:
        assert name in commands
        if more and re.fullmatch("[a-z]+", more[0]):
            assert more[0] in commands[name].commands
    open_line = next(line for line in TEXT.splitlines() if line.startswith("- **Open paths.**"))
    told = set(re.findall(r"`(/[\w./]+)`", open_line))
    assert told == {path for path in OPEN_PATHS if not path.endswith(".js")}


def test_the_numbers_of_attempts_are_those_of_the_data() -> None:
    escapes = json.loads((ROOT / "tests/data/identity/escapes.json").read_text(encoding="utf-8"))
    assert f"| {len(attempts(INJECTIONS))} texts that speak to the model" in TEXT
    assert f"| {len(attempts(CROSSINGS))} more that ask" in TEXT
    assert f"against {len(escapes)} statements" in TEXT
