import json
import re
from pathlib import Path

import pytest

from deployments.executor.embedded import EmbeddedDatabase
from serve_app.confidence import FEATURES, load_calibration
from tests.cli_support import Cli, Server

pytestmark = pytest.mark.postgres


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    items = [
        {"id": "a", "question": "jobs?", "gold": ["SELECT count(*) FROM projects"], "tags": ["count"]},
        {
            "id": "b",
            "question": "firms?",
            "gold": ["SELECT count(*) FROM vendors"],
            "tags": ["count", "vendor"],
        },
    ]
    path.write_text("\n".join(map(json.dumps, items)))
    return path


def answering(sql: str) -> dict[str, object]:
    return {"success": True, "data": {}, "sql": sql, "conversation_id": "c"}


def test_a_score_is_printed_by_tag(
    cli: Cli, server: Server, questions: Path, sample_database: EmbeddedDatabase
) -> None:
    server.body = answering("SELECT count(*) FROM projects LIMIT 100")
    ended = cli(
        "eval", str(questions), "--url", server.url, "--database-url", sample_database.dsn, "--failures"
    )
    assert ended.code == 0
    assert "1 of 2 right (50.0 %)" in ended.out
    assert re.search(r"query_shape\s+│\s+1\s+│\s+50.0", ended.out)
    assert "b [query_shape] firms?" in ended.out
    assert "… questions.jsonl: 2 of 2" in ended.err


def test_json_holds_every_verdict(
    cli: Cli, server: Server, questions: Path, sample_database: EmbeddedDatabase
) -> None:
    server.body = answering("SELECT count(*) FROM vendors")
    ended = cli("eval", str(questions), "--url", server.url, "--database-url", sample_database.dsn, "--json")
    report = json.loads(ended.out)["files"][0]
    assert report["score"] == {"right": 1, "asked": 2}
    assert report["by_tag"]["vendor"] == {"right": 1, "asked": 1}
    assert [r["right"] for r in report["results"]] == [False, True]


def test_too_low_a_score_fails_if_asked_to(
    cli: Cli, server: Server, questions: Path, sample_database: EmbeddedDatabase
) -> None:
    server.body = answering("SELECT count(*) FROM vendors")
    target = [
        "eval",
        str(questions),
        "--url",
        server.url,
        "--database-url",
        sample_database.dsn,
        "--at-least",
    ]
    assert cli(*target, "50").code == 0
    failed = cli(*target, "51")
    assert failed.code == 1
    assert "50.0 % are right, 51 % were asked for" in failed.err


def test_a_server_that_is_away_is_told_once(
    cli: Cli, questions: Path, sample_database: EmbeddedDatabase
) -> None:
    ended = cli("eval", str(questions), "--url", "http://127.0.0.1:1", "--database-url", sample_database.dsn)
    assert ended.code == 1
    assert "nothing answers at http://127.0.0.1:1" in ended.err.splitlines()[-1]


def test_a_database_that_is_away_is_told_without_its_password(
    cli: Cli, server: Server, questions: Path
) -> None:
    ended = cli(
        "eval", str(questions), "--url", server.url, "--database-url", "postgresql://u:secret@127.0.0.1:1/x"
    )
    assert ended.code == 1
    assert "cannot be reached" in ended.err
    assert "secret" not in ended.err


def test_every_verified_example_is_asked(
    cli: Cli,
    server: Server,
    sample_database: EmbeddedDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "domain.yaml").write_text(Path("configs/domains/construction/domain.yaml").read_text())
    pairs = [
        {"question": "All jobs?", "sql": "SELECT count(*) FROM projects LIMIT 100", "kind": "count"},
        {"question": "All firms?", "sql": "SELECT count(*) FROM vendors", "kind": "count"},
        {"question": "Ours?", "sql": "SELECT count(*) FROM labor", "kind": "own", "organization_id": "north"},
    ]
    (pack / "examples.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    monkeypatch.setenv("PLUMBLINE_DOMAIN_PACK", str(pack))
    server.body = answering("SELECT count(*) FROM projects")
    ended = cli(
        "eval", "--verified", "--url", server.url, "--database-url", sample_database.dsn, "--failures"
    )
    assert ended.code == 0
    assert "verified examples: 1 of 2 right (50.0 %)" in ended.out
    assert "pack:2 [query_shape] All firms?" in ended.out
    assert "left out: 1 pairs that belong to one organization" in ended.err
    # Two are asked at a time.
    assert sorted(body["query"] for _, body in server.asked) == ["All firms?", "All jobs?"]


def with_confidence(sql: str, confidence: float) -> dict[str, object]:
    features = dict.fromkeys(FEATURES, 0.0)
    metadata = {"model": "house", "confidence": confidence, "features": features}
    return {**answering(sql), "metadata": metadata}


def test_the_reliability_of_the_confidence_is_printed_and_in_the_json(
    cli: Cli, server: Server, questions: Path, sample_database: EmbeddedDatabase
) -> None:
    server.body = with_confidence("SELECT count(*) FROM vendors", 0.8)
    target = ["eval", str(questions), "--url", server.url, "--database-url", sample_database.dsn]
    printed = cli(*target).out
    assert "confidence of 2 answers: Brier score 0.340, expected calibration error 0.300" in printed
    assert "answered from" in printed
    table = json.loads(cli(*target, "--json").out)["files"][0]["reliability"]
    assert table["bins"] == [{"low": 0.75, "high": 0.9, "answers": 2, "right": 1, "mean_confidence": 0.8}]


def test_too_few_answers_to_calibrate_on_are_told_and_write_nothing(
    cli: Cli, server: Server, questions: Path, sample_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    server.body = with_confidence("SELECT count(*) FROM vendors", 0.8)
    target = ["eval", str(questions), "--url", server.url, "--database-url", sample_database.dsn]
    file = tmp_path / "calibration.json"
    ended = cli(*target, "--calibrate", str(file))
    assert ended.code == 1
    assert "1 right and 1 wrong answers with features are too few" in ended.err
    assert not file.exists()
    nowhere = cli(*target, "--calibrate", str(tmp_path / "no" / "file.json"))
    assert nowhere.code == 2
    assert "its folder does not exist" in nowhere.err


def test_a_calibration_is_written_as_the_profile_reads_it(
    cli: Cli, server: Server, sample_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    items = [
        {
            "id": str(i),
            "question": "q",
            "gold": [f"SELECT count(*) FROM {'vendors' if i % 2 else 'projects'}"],
        }
        for i in range(20)
    ]
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    server.body = with_confidence("SELECT count(*) FROM vendors", 0.8)
    out = tmp_path / "calibration.json"
    ended = cli(
        *("eval", str(file), "--url", server.url, "--database-url", sample_database.dsn),
        *("--calibrate", str(out)),
    )
    assert ended.code == 0
    assert "confidence fitted on 20 answers, 10 of them right" in ended.err
    fitted = load_calibration(out)
    assert (fitted.model, fitted.data, fitted.intercept) == ("house", ("many.jsonl",), 0.0)


def test_a_run_is_saved_shown_again_and_compared(
    cli: Cli, server: Server, questions: Path, sample_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    target = ["eval", str(questions), "--url", server.url, "--database-url", sample_database.dsn]
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    server.body = answering("SELECT count(*) FROM projects")
    assert cli(*target, "--out", str(first)).code == 0
    server.body = answering("SELECT count(*) FROM vendors")
    assert cli(*target, "--out", str(second), "--no-text").code == 0
    assert "jobs?" not in second.read_text()

    shown = cli("eval", "--show", str(first), "--markdown")
    assert "**50 %** (1 of 2)" in shown.out
    assert cli("eval", "--show", str(first), "--at-least", "51").code == 1

    compared = cli("eval", "--compare", str(first), str(second), "--failures")
    assert compared.code == 0
    assert "B - A = +0.0 points, p = 1 (exact McNemar, two-sided): this may be chance" in compared.out
    assert "b [B alone right; query_shape] firms?" in compared.out
    table = json.loads(cli("eval", "--compare", str(first), str(second), "--json").out)
    assert (table["all"]["gained"], table["all"]["lost"], table["unpaired"]) == (1, 1, 0)


def test_a_limit_takes_items_evenly(
    cli: Cli, server: Server, sample_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "many.jsonl"
    items = [{"id": str(i), "question": f"q{i}", "gold": ["SELECT 1"]} for i in range(10)]
    file.write_text("\n".join(map(json.dumps, items)))
    server.body = answering("SELECT 1")
    target = ["eval", str(file), "--url", server.url, "--database-url", sample_database.dsn]
    ended = cli(*target, "--limit", "3", "--concurrency", "1")
    assert "3 of 3 right" in ended.out
    assert [body["query"] for _, body in server.asked] == ["q0", "q3", "q6"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give files of questions"),
        (["FILE", "--show", "x.json"], "give files of questions"),
        (["FILE", "--local", "--url", "http://127.0.0.1:1"], "exclude each other"),
        (["FILE", "--weights", "configs"], "--weights needs --local"),
        (["FILE", "--local", "--weights", "nowhere"], "'nowhere' is no folder"),
        (["FILE", "--url", "ftp://x"], "is not an HTTP address"),
        (["FILE", "--out", "no/where.json"], "its folder does not exist"),
        (["--show", "none.json"], "none.json cannot be read"),
        (["--compare", "none.json", "none.json"], "none.json cannot be read"),
        (["none.jsonl"], "none.jsonl cannot be read"),
    ],
)
def test_bad_input_is_told_in_one_line(cli: Cli, questions: Path, arguments: list[str], message: str) -> None:
    ended = cli("eval", *(str(questions) if argument == "FILE" else argument for argument in arguments))
    assert ended.code == 2
    assert message in ended.error_line


def test_the_house_model_is_scored_without_a_server(
    cli: Cli, sample_database: EmbeddedDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", sample_database.dsn)
    file = tmp_path / "q.jsonl"
    items = [
        {"id": "a", "question": "How many projects do we have?", "gold": ["SELECT count(*) FROM projects"]},
        {"id": "u", "question": "what will the weather be like tomorrow?", "answerable": False},
    ]
    file.write_text("\n".join(map(json.dumps, items)))
    ended = cli("eval", str(file), "--local", "--json")
    assert ended.code == 0
    run = json.loads(ended.out)
    assert run["target"] == "local"
    answered, unanswerable = run["files"][0]["results"]
    assert answered["answered"]
    assert "FROM projects" in answered["sql"]
    assert answered["model"] == "plumbline-house"
    assert unanswerable["kind"] == "unanswerable"


def test_another_model_than_the_house_model_needs_a_server(
    cli: Cli, questions: Path, sample_database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", sample_database.dsn)
    monkeypatch.setenv("PLUMBLINE_MODEL_PROFILE", "mistral-7b-instruct")
    ended = cli("eval", str(questions), "--local")
    assert ended.code != 0
    assert "Only the house model is evaluated in this process" in ended.err
