"""Each fault of a pack gives its line; a pack without faults gives none."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.pack_check import check_pack
from deployments.prompt_builder.pack_check.view import PackView
from deployments.prompt_builder.synthesis.schema_file import load_schema

DATA = Path(__file__).parents[2] / "data"
LIBRARY = DATA / "library_pack"


def changed(change: dict[str, Any]) -> DomainPack:
    """The library pack with values put at paths; None takes a key away."""
    raw = yaml.safe_load((LIBRARY / "domain.yaml").read_text(encoding="utf-8"))
    for path, value in change.items():
        node = raw
        *parents, leaf = path.split(".")
        for name in parents:
            node = node[name]
        if value is None:
            del node[leaf]
        else:
            node[leaf] = value
    return DomainPack.model_validate(raw)


def lines_of(pack: DomainPack, folder: Path = LIBRARY) -> list[str]:
    return [finding.line() for finding in check_pack(PackView(folder, pack, load_schema(LIBRARY)))]


CASES = [
    json.loads(line)
    for line in (DATA / "pack_check" / "faults.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
def test_a_fault_is_found(case: dict[str, Any]) -> None:
    before = lines_of(load_domain(LIBRARY))
    found = [line for line in lines_of(changed(case["change"])) if line not in before]

    assert any(re.match(case["expect"], line) for line in found), found


def test_a_sound_pack_has_no_errors() -> None:
    assert not [line for line in lines_of(load_domain(LIBRARY)) if line.startswith("error")]


def test_errors_come_first() -> None:
    found = check_pack(PackView(LIBRARY, changed({"tables.loans.label": "nothing"}), load_schema(LIBRARY)))

    assert found[0].severity == "error"
    assert [f.severity for f in found] == sorted((f.severity for f in found), key=["error", "warning"].index)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("phrases/people.yaml", "singular: [person]", "error: phrases/people.yaml: the pack has no table"),
        ("phrases/books.yaml", "nouns: [a]", "error: phrases/books.yaml.nouns: "),
        ("phrases/books.yaml", "columns: {copies: {}}", "error: phrases/books.yaml.columns.copies: "),
        ("phrases/books.yaml", "derived: {worth: {}}", "error: phrases/books.yaml.derived.worth: "),
        ("phrases/books.yaml", "a: [", "error: phrases/books.yaml: cannot be read"),
        (
            "phrases/books.yaml",
            "formulas: [{expression: (sum(copies)), nouns: [stock]}]",
            "error: phrases/books.yaml.formulas: .*copies",
        ),
        ("phrasings/ann.jsonl", "nonsense", "error: phrasings/ann.jsonl, line 1: is not JSON"),
        ("phrasings/ann.jsonl", '{"question": "q"}', "error: phrasings/ann.jsonl, line 1: lacks"),
        ("phrasings/ann.jsonl", "[1]", "error: phrasings/ann.jsonl, line 1: is no question"),
        (
            "phrasings/ann.jsonl",
            json.dumps({"question": "All copies?", "spec": "copies"}),
            "warning: phrasings of ann: 1 of 1 left out: spec: ",
        ),
        (
            "phrasings/ann.jsonl",
            json.dumps({"question": "Books bought then?", "spec": "books where bought_on in D0"}),
            "warning: phrasings of ann: 1 of 1 left out: placeholders not linked",
        ),
    ],
)  # fmt: skip
def test_faults_of_phrase_files(tmp_path: Path, name: str, text: str, expected: str) -> None:
    write(tmp_path, name, text)

    found = lines_of(load_domain(LIBRARY), tmp_path)

    assert any(re.match(expected, line) for line in found), found


def test_a_phrasing_that_the_library_takes_is_not_mentioned(tmp_path: Path) -> None:
    text = json.dumps(
        {"question": f"Books bought in {date.today().year}?", "spec": "books where bought_on in D0"}
    )
    write(tmp_path, "phrasings/ann.jsonl", text)

    assert not [line for line in lines_of(load_domain(LIBRARY), tmp_path) if "phrasings" in line]
