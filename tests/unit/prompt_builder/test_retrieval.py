import json
from collections import Counter
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from deployments.prompt_builder.retrieval import Example, ExampleIndex, load_examples, words
from deployments.prompt_builder.schema_fit import fitting_examples, footprint
from tests.prompt_cases import EXAMPLES, SAMPLE_SCHEMA

DEVELOPMENT = Path("tests/data/eval")
# Near copies lie above: the same words in another order score over 90, a shared topic stays under 75.
NEAR_COPY = 80.0


def make_example(question: str, sql: str = "SELECT 1 FROM projects") -> Example:
    return Example(question=question, sql=sql, kind="test")


def test_words_are_folded_to_lower_case_singular() -> None:
    assert words("Which Companies' crews (3) cost less?") == ["which", "company", "crew", "3", "cost", "less"]


def test_the_most_similar_example_comes_first() -> None:
    index = ExampleIndex(
        [
            make_example("total spend per vendor"),
            make_example("rejected invoices"),
            make_example("hours by trade"),
        ]
    )
    found = index.nearest("how many hours did each trade work", 2)
    assert found[0][0].question == "hours by trade"
    assert found[0][1] > found[-1][1] or len(found) == 1


def test_a_misspelt_word_still_finds_its_example() -> None:
    index = ExampleIndex([make_example("invoices that were rejected"), make_example("hours by trade")])
    assert index.nearest("rejcted invoces", 1)[0][0].question == "invoices that were rejected"


def test_identical_questions_have_similarity_one_and_strangers_none() -> None:
    index = ExampleIndex([make_example("hours by trade")])
    assert index.nearest("hours by trade", 1)[0][1] == pytest.approx(1.0)
    assert index.nearest("zzz", 1) == ()
    assert index.nearest("hours", 1, minimum=0.99) == ()


@pytest.mark.parametrize("text", ["", "?!", "   "])
def test_a_text_without_words_finds_nothing(text: str) -> None:
    assert ExampleIndex([make_example("hours by trade")]).nearest(text, 3) == ()
    assert ExampleIndex([]).nearest("hours", 3) == ()


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text('{"question": "one two", "sql": "SELECT 1", "kind": "x"}\n\n{"question": 3}\n')
    with pytest.raises(ValueError, match=r"examples.jsonl, line 3"):
        load_examples(path)


def test_the_pack_has_enough_examples_of_every_kind() -> None:
    kinds = Counter(example.kind for example in EXAMPLES)
    assert len(EXAMPLES) >= 40
    assert {
        "date_range",
        "category",
        "comparison",
        "aggregation",
        "top_n",
        "window",
        "negation",
        "derived",
    } <= set(kinds)
    assert min(kinds.values()) >= 2
    assert len({example.question for example in EXAMPLES}) == len(EXAMPLES)


def test_every_example_fits_the_sample_schema() -> None:
    assert fitting_examples(EXAMPLES, SAMPLE_SCHEMA) == EXAMPLES


def test_examples_of_absent_tables_or_columns_are_left_out() -> None:
    some = SAMPLE_SCHEMA.model_copy(update={"tables": SAMPLE_SCHEMA.tables[:2]})
    kept = fitting_examples(EXAMPLES, some)
    assert kept
    assert all(
        used is not None and used.tables <= {"organizations", "projects"} for used in map(sql_footprint, kept)
    )
    assert fitting_examples([make_example("x y z", "SELECT nothing FROM projects")], SAMPLE_SCHEMA) == ()
    assert fitting_examples([make_example("x y z", "SELECT (((")], SAMPLE_SCHEMA) == ()


def sql_footprint(example: Example) -> object:
    return footprint(example.sql)


def development_questions() -> list[str]:
    items = [
        json.loads(line) for path in DEVELOPMENT.glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    turns = [turn for item in items for turn in item.get("turns", [item])]
    return [turn["question"] for turn in turns if len(words(turn["question"])) >= 4]


def test_no_example_is_a_near_copy_of_a_development_question() -> None:
    copies = [
        (example.question, question)
        for example in EXAMPLES
        for question in development_questions()
        if fuzz.token_sort_ratio(example.question.casefold(), question.casefold()) >= NEAR_COPY
    ]
    assert copies == []


def test_a_pack_without_the_file_has_no_examples(tmp_path: Path) -> None:
    assert load_examples(tmp_path / "examples.jsonl") == ()
