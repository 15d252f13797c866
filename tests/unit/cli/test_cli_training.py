"""Ways of `train`, and what does not go together."""

from pathlib import Path

import pytest

from tests.cli_support import Cli


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--lora"], "--lora needs --data; write such a file with: plumbline train --export-data FILE"),
        (["--lora", "--data", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
        (["--lora", "--export-data", "f"], "--lora and --export-data do different things"),
        (["--data", "README.md"], "--data belongs to --lora"),
        (["--pairs", "3"], "--pairs belongs to --export-data"),
        (["--lora", "--data", "README.md", "--seed", "3"], "--seed belongs to --export-data"),
        (["--merge", "nowhere", "--steps", "3"], "--steps belongs to --lora"),
        (["--merge", "nowhere", "--start-from", "x"], "--start-from does not go with --merge"),
        (["--export-data", "/nowhere/file"], "cannot be written"),
        (["--lora", "--data", "README.md"], "README.md is wrong in line 1"),
        (["--without-writer", "w99", "--minutes", "0.1"], "no writer 'w99'"),
        (
            ["--lora", "--data", __file__, "--without-writer", "w1"],
            "--without-writer does not go with --lora",
        ),
    ],
)
def test_bad_input_ends_with_one_line(cli: Cli, arguments: list[str], reason: str) -> None:
    ended = cli("train", *arguments)
    assert ended.code == 2
    assert reason in ended.error_line


def test_a_folder_without_an_adapter_is_not_merged(cli: Cli, tmp_path: Path) -> None:
    ended = cli("train", "--merge", str(tmp_path))
    assert ended.code == 1
    assert "holds no adapter" in ended.err
