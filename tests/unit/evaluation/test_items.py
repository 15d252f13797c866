from pathlib import Path

import pytest

from serve_app.evaluation.items import (
    ClarifyItem,
    ConversationItem,
    EvaluationFileError,
    SingleItem,
    UnanswerableItem,
    load_items,
    spread,
)

DEVELOPMENT = Path("tests/data/eval")


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("single", SingleItem, 90),
        ("conversations", ConversationItem, 18),
        ("clarify", ClarifyItem, 40),
        ("validation-yard-manager", SingleItem, 269),
        ("validation-yard-manager-conversations", ConversationItem, 26),
        ("validation-yard-manager-unanswerable", UnanswerableItem, 50),
        ("validation-cfo-treasurer", SingleItem, 244),
        ("validation-cfo-treasurer-conversations", ConversationItem, 29),
        ("validation-cfo-treasurer-unanswerable", UnanswerableItem, 44),
    ],
)
def test_the_development_files_are_known_by_their_shape(name: str, kind: type, count: int) -> None:
    items = load_items(DEVELOPMENT / f"{name}.jsonl")
    assert len(items) == count
    assert all(isinstance(item, kind) for item in items)


GOOD = '{"id": "a", "question": "q", "gold": ["SELECT 1"]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no questions"),
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: line: Input should be"),
        (f"{GOOD}\n{GOOD}", "line 2: the id 'a' occurs twice"),
        ('{"id": "a", "question": "q", "gold": []}', "line 1: gold: Tuple should have at least 1 item"),
        ('{"id": "a", "question": "q", "gold": ["x"], "golden": 1}', "line 1: golden: Extra inputs"),
        ('{"id": "a", "question": "q", "answerable": true}', "line 1: answerable: Input should be False"),
        ('{"id": "a", "turns": [{"question": "q"}]}', "line 1: turns.0.gold: Field required"),
    ],
)
def test_a_bad_file_says_where_and_what(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(EvaluationFileError, match=r"bad\.jsonl") as caught:
        load_items(path)
    assert message in str(caught.value)


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EvaluationFileError, match="No such file"):
        load_items(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationFileError, match="not UTF-8"):
        load_items(tmp_path / "binary.jsonl")


def test_a_part_of_the_items_is_spread_over_the_file() -> None:
    items = load_items(DEVELOPMENT / "single.jsonl")
    assert spread(items, None) == spread(items, 90) == spread(items, 1000) == items
    part = spread(items, 9)
    assert [items.index(item) for item in part] == list(range(0, 90, 10))
