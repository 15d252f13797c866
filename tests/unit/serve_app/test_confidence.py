"""How sure an answer is: features of a choice and the calibrated probability."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from fakes import make_prompt, make_result
from hypothesis import given
from hypothesis import strategies as st

from serve_app.choosing import Group, Trial, accepted, distinct_texts, grouped, read
from serve_app.confidence import (
    FEATURES,
    LARGEST_MARGIN,
    SIGNS,
    Calibration,
    Features,
    features_of,
    load_calibration,
    logistic,
)
from serve_app.contracts import ExecutionResult, GeneratedText, SqlCandidate, Tried, ValidSql
from serve_app.errors import ConfigurationError


def features(
    texts: list[tuple[str, float | None]], result: ExecutionResult | None = None, **prompt: Any
) -> Features:
    """Of the heaviest group, where every text is a statement with rows of its own."""
    weighted = distinct_texts(
        [
            GeneratedText(
                text=name,
                token_count=2,
                mean_logprob=None if p is None else math.log(p) / 2,
                finish_reason="stop",
            )
            for name, p in texts
        ]
    )
    readings = read(weighted, [SqlCandidate(sql=t.text, unused=("May",)) for t, _ in weighted])
    pairs = [
        (s, ValidSql(sql=s.candidate.sql, tables=(), row_cap=9, cap_applied=False))
        for s in readings.statements
    ]
    rows = result or make_result()
    groups = grouped(
        [
            Trial(
                t.statement,
                t.verdict,
                Tried(
                    digest=t.verdict.sql,
                    order_digest=None,
                    row_count=rows.row_count,
                    has_values=any(v is not None for row in rows.rows for v in row),
                    result=rows,
                ),
            )
            for t in accepted(pairs)
        ]
    )
    return features_of(make_prompt(**prompt), readings, groups, groups[0], rows)


def test_the_features_of_a_contested_answer() -> None:
    found = features([("a", 0.6), ("b", 0.3)], unknown_words=2, context_used=1)
    assert found.logprob == pytest.approx(math.log(0.6))
    assert found.mean_logprob == pytest.approx(math.log(0.6) / 2)
    assert found.group_logprob == pytest.approx(math.log(0.6))
    assert found.margin == pytest.approx(math.log(2))
    assert found.share == pytest.approx(2 / 3)
    assert (found.unused, found.unknown_words, found.follow_up, found.no_values) == (1, 2, 1, 0)


def test_an_answer_without_rival_and_without_probabilities() -> None:
    found = features([("a", None)])
    assert (found.logprob, found.mean_logprob, found.group_logprob) == (0.0, 0.0, 0.0)
    assert (found.margin, found.share) == (LARGEST_MARGIN, 1.0)


@pytest.mark.parametrize("rows", [[], [(None,)]])
def test_a_result_that_says_nothing_is_a_feature(rows: list[tuple[Any, ...]]) -> None:
    assert features([("a", 0.5)], make_result(rows)).no_values == 1


def calibration(**coefficients: float) -> Calibration:
    return Calibration(
        model="m", data=("d",), questions=9, right=5, log_loss=0.1, intercept=0.0, coefficients=coefficients
    )


@given(st.floats(allow_nan=False), st.floats(-50, 50))
def test_a_confidence_is_a_probability(coefficient: float, value: float) -> None:
    found = features([("a", 0.6), ("b", 0.3)])
    assert 0.0 <= calibration(margin=coefficient).probability(found) <= 1.0
    assert logistic(value) == pytest.approx(1 - logistic(-value))


def test_a_larger_margin_is_a_higher_confidence() -> None:
    narrow, wide = features([("a", 0.5), ("b", 0.4)]), features([("a", 0.5), ("b", 0.1)])
    assert calibration(margin=1.0).probability(narrow) < calibration(margin=1.0).probability(wide)


def test_a_calibration_is_read_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(calibration(margin=1.0).model_dump_json(), encoding="utf-8")
    assert load_calibration(file) == calibration(margin=1.0)
    file.write_text(calibration(mood=1.0).model_dump_json(), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="mood"):
        load_calibration(file)
    file.write_text(json.dumps({"intercept": 1}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"calibration\.json"):
        load_calibration(file)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_calibration(tmp_path / "missing.json")


def test_every_feature_has_a_sign() -> None:
    assert SIGNS.keys() == set(FEATURES)


def test_a_group_is_as_heavy_as_its_statements() -> None:
    assert Group(()).weight == 0
