"""`domain init` and `domain check`, on the sample database and on one of another trade."""

import json
import random
import re
import shutil
from itertools import islice
from pathlib import Path

import pytest
import yaml

from deployments.executor.embedded import EmbeddedDatabase
from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.synthesis.pairs import PairStream
from deployments.prompt_builder.synthesis.schema_file import load_schema
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer
from tests.cli_support import Cli

DATA = Path(__file__).parents[2] / "data"
CLINIC_PACK = DATA / "clinic" / "pack"
LIBRARY_PACK = DATA / "library_pack"


@pytest.fixture(params=["construction", "clinic"])
def any_database(request: pytest.FixtureRequest) -> str:
    if request.param == "clinic":
        return str(request.getfixturevalue("clinic_database"))
    database: EmbeddedDatabase = request.getfixturevalue("sample_database")
    return database.dsn


@pytest.mark.postgres
def test_a_draft_has_no_errors_and_gives_pairs(cli: Cli, any_database: str, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    assert cli("domain", "init", "--database-url", any_database, "--out", str(pack)).code == 0

    for arguments in ([str(pack)], [str(pack), "--database-url", any_database]):
        ended = cli("domain", "check", *arguments)
        assert ended.code == 0, ended.out
        assert "error: " not in ended.out

    pairs = list(islice(PairStream(pack)(1, 0), 300))
    assert len(set(pairs)) > 250
    tables = {target.split(">")[0] for _, target in pairs}
    assert {f"<{name}" for name in load_domain(pack).tables} <= tables


@pytest.mark.postgres
def test_every_shape_but_those_that_need_more_can_be_said_of_a_draft(
    cli: Cli, clinic_database: str, tmp_path: Path
) -> None:
    cli("domain", "init", "--database-url", clinic_database, "--out", str(tmp_path / "pack"))
    synthesizer = Synthesizer(tmp_path / "pack")

    said = {
        shape
        for shape in synthesizer.mixture["shapes"]
        if any(synthesizer.shape(random.Random(f"{shape}{n}"), shape) for n in range(60))
    }

    # A balance needs two sides of one sum (inflow and outflow), a derived one a derived value.
    assert set(synthesizer.mixture["shapes"]) - said <= {"balance", "derived", "yesno", "absent", "entity"}


@pytest.mark.postgres
def test_the_edited_pack_fits_its_database(cli: Cli, clinic_database: str) -> None:
    ended = cli("domain", "check", str(CLINIC_PACK), "--database-url", clinic_database)

    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if ".label: is not set" not in line] == []


@pytest.mark.postgres
def test_nothing_is_overwritten_unless_asked(cli: Cli, clinic_database: str, tmp_path: Path) -> None:
    mine = tmp_path / "domain.yaml"
    mine.write_text("mine", encoding="utf-8")
    arguments = ("domain", "init", "--database-url", clinic_database, "--out", str(tmp_path))

    refused = cli(*arguments)

    assert refused.code == 2
    assert "domain.yaml already; --force overwrites" in refused.error_line
    assert mine.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "schema.json").exists()
    assert cli(*arguments, "--force").code == 0
    assert load_domain(tmp_path).tables.keys() >= {"pets", "visits"}


@pytest.mark.postgres
def test_the_snapshot_alone_is_written_anew(cli: Cli, clinic_database: str, tmp_path: Path) -> None:
    shutil.copytree(CLINIC_PACK, tmp_path / "pack")
    domain = (tmp_path / "pack" / "domain.yaml").read_bytes()
    (tmp_path / "pack" / "schema.json").unlink()
    assert cli("domain", "check", str(tmp_path / "pack")).code == 1

    ended = cli(
        *("domain", "init", "--schema-only", "--database-url", clinic_database),
        *("--out", str(tmp_path / "pack")),
    )

    assert ended.code == 0
    assert (tmp_path / "pack" / "domain.yaml").read_bytes() == domain
    assert load_schema(tmp_path / "pack").table("pets")
    assert cli("domain", "check", str(tmp_path / "pack")).code == 0


@pytest.mark.postgres
def test_a_snapshot_of_another_schema_is_noticed(cli: Cli, clinic_database: str, tmp_path: Path) -> None:
    shutil.copytree(CLINIC_PACK, tmp_path / "pack")
    path = tmp_path / "pack" / "schema.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"reptile"', '"snake"'), encoding="utf-8")

    ended = cli("domain", "check", str(tmp_path / "pack"), "--database-url", clinic_database)

    assert "warning: schema.json: is older than 'pets.species'" in ended.out


@pytest.mark.postgres
def test_statements_that_are_refused_or_fail_are_errors(
    cli: Cli, clinic_database: str, tmp_path: Path
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(CLINIC_PACK, pack)
    pairs = [
        {"question": "Drop them", "sql": "DELETE FROM pets", "kind": "bad"},
        {"question": "How tall are pets?", "sql": "SELECT height FROM pets", "kind": "bad"},
        {"question": "Weight over nothing", "sql": "SELECT weight_kg / 0 FROM pets", "kind": "bad"},
    ]
    (pack / "examples.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    text = (pack / "domain.yaml").read_text(encoding="utf-8")
    more = {"table": "pets", "name": "odd", "kind": "value", "expression": "(1 / (weight_kg - weight_kg))"}
    line = yaml.safe_dump([more | {"terms": ["odd number"]}], default_flow_style=True, width=999).strip()
    (pack / "domain.yaml").write_text(f"{text}  - {line[1:-1]}\n", encoding="utf-8")

    offline = cli("domain", "check", str(pack))
    live = cli("domain", "check", str(pack), "--database-url", clinic_database)

    assert offline.code == live.code == 1
    assert [line.split(":")[1] for line in offline.out.splitlines() if line.startswith("error")] == [
        " examples.jsonl, pair 1 ('Drop them')",
        " examples.jsonl, pair 2 ('How tall are pets?')",
    ]
    assert re.search(r"error: examples.jsonl, pair 3 .*: does not run: The query divides by zero", live.out)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("domain.yaml", "name: [", "error: domain.yaml: cannot be read"),
        ("domain.yaml", "name: x", "error: description: Field required"),
        ("schema.json", "{}", "error: schema.json: is no schema snapshot"),
        ("examples.jsonl", '{"question": "q"}', "error: examples.jsonl: examples.jsonl, line 1"),
        (
            "examples.jsonl",
            '{"question": "All?", "sql": "SELECT title FROM books", "kind": "list", "query_spec": "book"}',
            "error: examples.jsonl, pair 1 ('All?'): query_spec: ",
        ),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_findings(
    cli: Cli, tmp_path: Path, name: str, text: str, expected: str
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(LIBRARY_PACK, pack)
    (pack / name).write_text(text, encoding="utf-8")

    ended = cli("domain", "check", str(pack))

    assert ended.code == 1
    assert expected in ended.out


def test_the_packs_of_the_repository_have_no_errors(cli: Cli) -> None:
    for pack in ("configs/domains/construction", str(LIBRARY_PACK), str(CLINIC_PACK)):
        assert cli("domain", "check", pack).code == 0, pack


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("domain", "check", "/nowhere"), "is not a folder"),
        (("domain", "init", "--database-url", "mysql://x"), "--database-url is no URL such as postgresql://"),
        (("domain", "init", "--schema-only", "--out", "/x", "--database-url", "postgresql://h"), "domain"),
        (("train", "--domain", "/nowhere"), "is not a folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    ended = cli(*arguments)

    assert ended.code == 2
    assert message in ended.error_line


def test_a_database_that_does_not_answer_is_one_line_without_its_url(cli: Cli, tmp_path: Path) -> None:
    url = "postgresql://ann:secret@127.0.0.1:1/x"
    ended = cli("domain", "init", "--database-url", url, "--out", str(tmp_path / "pack"))

    assert ended.code == 1
    assert "secret" not in ended.err
    assert ended.error_line
    assert not (tmp_path / "pack").exists()
