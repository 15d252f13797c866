import json
import random
from pathlib import Path

import pytest

from deployments.prompt_builder.query_spec.nodes import Placeholder
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis import writers
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer
from deployments.prompt_builder.synthesis.writers import PhrasingLibrary

ROWS = {
    "ann": [
        {
            "question": "novels over 20 dollars at Central",
            "spec": "books where genre = 'novel' and price > N0 and branches.name = V0",
        },
        {"question": "books bought in 2025", "spec": "books where bought_on in D7"},
        {"question": "how many loans", "spec": "loans show nothing"},
    ],
    "bob": [
        {
            "turns": [
                {"question": "loans of Nora Quist", "spec": "loans where member = V0"},
                {"question": "only the open ones", "spec": "loans where member = V0@0 and status = 'open'"},
            ]
        }
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "phrasings").mkdir()
    for writer, rows in ROWS.items():
        lines = "\n".join(json.dumps({"writer": writer, **row}) for row in rows)
        (tmp_path / "phrasings" / f"{writer}.jsonl").write_text(lines)
    return tmp_path


def _library(
    folder: Path, synthesizer: Synthesizer, without: frozenset[str] = frozenset()
) -> PhrasingLibrary:
    return PhrasingLibrary(
        folder, synthesizer.linker, synthesizer.lexicon, synthesizer.context, synthesizer.today, without
    )


def test_rows_that_do_not_link_or_parse_are_left_out_and_counted(folder: Path, library: Synthesizer) -> None:
    found = _library(folder, library)

    assert [p.turns[0].question for p in found.singles] == ["novels over 20 dollars at Central"]
    assert len(found.conversations) == 1
    assert sum(found.report.left_out.values()) == 2


def test_a_writer_can_be_left_out(folder: Path, library: Synthesizer) -> None:
    found = _library(folder, library, frozenset({"ann"}))

    assert not found.singles
    assert len(found.conversations) == 1


def test_variations_change_values_and_keep_the_links(folder: Path, library: Synthesizer) -> None:
    found = _library(folder, library)
    turn = found.singles[0].turns[0]
    drawn = [found.varied(random.Random(i), turn) for i in range(60)]
    varied = [t for t in drawn if t is not None]

    assert len({t.question for t in varied}) > 20
    assert len({next(k.candidates[0].value for k in t.linked.links if k.candidates) for t in varied}) > 1
    for one in varied:
        assert [k.placeholder for k in one.linked.links] == [k.placeholder for k in turn.linked.links]


def test_a_lookup_word_changes_in_question_and_specification_alike(
    folder: Path, library: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "retyped", lambda rng, text: text)
    found = _library(folder, library)
    turn = found.singles[0].turns[0]
    words = {"novel": "novel", "history": "histor", "poetry": "poetr"}
    seen = set()
    for i in range(200):
        one = found.varied(random.Random(i), turn)
        if one is not None:
            value = next(n.value for n in walk(one.spec) if type(n).__name__ == "TextLiteral")
            seen.add(value)
            assert words[value] in one.linked.text, one.question
    assert len(seen) > 1


def test_a_conversation_carries_values_of_earlier_turns(folder: Path, library: Synthesizer) -> None:
    talking = Synthesizer(folder, library.schema, library.pack)
    example = talking.conversation(random.Random(1))

    assert example is not None
    assert example.previous is not None
    assert {n.name for n in walk(example.spec) if isinstance(n, Placeholder)} == {"V0"}
