import pickle
from itertools import islice
from pathlib import Path

import pytest
import yaml

from deployments.prompt_builder.synthesis.pairs import PairStream, SynthesisError, held_out
from deployments.prompt_builder.synthesis.report import stream_report

LIBRARY = Path(__file__).parents[2] / "data" / "library_pack"


def _stream(**options: object) -> PairStream:
    return PairStream(LIBRARY, **options)  # type: ignore[arg-type]


def test_a_pair_is_a_function_of_seed_and_index() -> None:
    first = list(islice(_stream()(7, 0), 30))

    assert list(islice(_stream()(7, 20), 10)) == first[20:]
    assert list(islice(_stream()(8, 0), 30)) != first


def test_a_stream_can_be_sent_to_a_worker() -> None:
    stream = _stream()
    expected = list(islice(stream(1, 0), 5))

    assert list(islice(pickle.loads(pickle.dumps(stream))(1, 0), 5)) == expected


def test_the_held_out_part_is_apart() -> None:
    kept = [e.linked.text for e, _, _ in islice(_stream().examples(3, 0), 200)]
    apart = [e.linked.text for e, _, _ in islice(_stream(part="held_out").examples(3, 0), 3)]

    assert not any(held_out(text) for text in kept)
    assert all(held_out(text) for text in apart)


def test_every_target_token_is_in_the_vocabulary() -> None:
    stream = _stream()
    known = set(stream.vocabulary())
    for _, target in islice(stream(5, 0), 200):
        assert {f"<{part}" for part in target.split("<")[1:]} <= known


def test_the_report_counts_what_was_drawn() -> None:
    report = stream_report(_stream(), pairs=150)

    assert report.pairs == 150
    assert sum(report.shapes.values()) == pytest.approx(1.0, abs=0.02)
    assert sum(report.tables.values()) == pytest.approx(1.0, abs=0.02)
    assert report.drop_rate < 0.2


def test_a_stream_that_gives_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _stream()
    monkeypatch.setattr(type(stream.synthesizer), "draw", lambda self, rng, index: None)

    with pytest.raises(SynthesisError, match="drop report"):
        next(stream(0, 0))


def test_a_pack_may_bring_a_mixture_of_its_own(tmp_path: Path) -> None:
    for path in LIBRARY.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    mixture = {"curriculum": [{"sources": {"grammar": 1}}], "shapes": {"count": 1}}
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(mixture), encoding="utf-8")

    assert {e.kind for e, _, _ in islice(PairStream(tmp_path).examples(1, 0), 20)} == {"count"}
