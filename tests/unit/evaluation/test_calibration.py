"""Fitting a confidence and telling how far it holds, on answers whose probability is known."""

import random
from typing import Any

import pytest

from serve_app.confidence import FEATURES, Features, logistic
from serve_app.evaluation.calibration import CalibrationError, fit, reliability
from serve_app.evaluation.run import Scored


def features(**values: float) -> Features:
    return Features.model_validate(dict.fromkeys(FEATURES, 0.0) | values)


def scored(right: bool, **fields: Any) -> Scored:
    values = {
        "id": "q",
        "kind": "single",
        "question": "q",
        "right": right,
        "latency_ms": 1.0,
        "answered": True,
    }
    return Scored.model_validate(values | fields)


def drawn(count: int, seed: int = 0) -> list[Scored]:
    """Answers that are right with the probability logistic(1 + 2 margin - 3 unused)."""
    random_ = random.Random(seed)
    results: list[Scored] = []
    for _ in range(count):
        margin, unused = random_.uniform(-2, 2), float(random_.random() < 0.3)
        right = random_.random() < logistic(1 + 2 * margin - 3 * unused)
        results.append(scored(right, features=features(margin=margin, unused=unused)))
    return results


def test_the_coefficients_behind_the_answers_are_found() -> None:
    found = fit(drawn(4000), "m", ["f.jsonl"])
    assert found.intercept == pytest.approx(1, abs=0.2)
    assert found.coefficients["margin"] == pytest.approx(2, abs=0.2)
    assert found.coefficients["unused"] == pytest.approx(-3, abs=0.3)
    assert (found.model, found.data, found.questions) == ("m", ("f.jsonl",), 4000)


def test_a_fitted_confidence_is_reliable_on_new_answers() -> None:
    found = fit(drawn(4000), "m", ["f"])
    fresh = [
        r.model_copy(update={"confidence": found.probability(r.features)})
        for r in drawn(4000, seed=1)
        if r.features
    ]
    table = reliability(fresh)
    assert table is not None
    assert table.expected_calibration_error < 0.03
    accuracies = [s.accuracy for s in table.selective if s.accuracy is not None]
    assert accuracies == sorted(accuracies)


def test_a_feature_that_speaks_the_wrong_way_is_left_out() -> None:
    backwards = [
        r.model_copy(
            update={
                "right": i % 3 != 0,
                "features": features(unknown_words=float(i % 3 != 0), margin=float(i % 2)),
            }
        )
        for i, r in enumerate(drawn(300))
    ]
    found = fit(backwards, "m", ["f"])
    assert "unknown_words" not in found.coefficients


def test_features_without_variation_say_nothing() -> None:
    assert fit(drawn(200), "m", ["f"]).coefficients.keys() <= {"margin", "unused"}


@pytest.mark.parametrize(
    "results",
    [
        [],
        [scored(True, features=features())] * 50,
        [scored(i % 2 == 0) for i in range(50)],
        [scored(i % 2 == 0, features=features(), answered=False) for i in range(50)],
        [scored(i % 2 == 0, features=features(), kind="clarify") for i in range(50)],
    ],
)
def test_too_little_to_calibrate_on_is_told(results: list[Scored]) -> None:
    with pytest.raises(CalibrationError, match="too few"):
        fit(results, "m", ["f"])


def test_the_table_counts_answers_by_confidence_and_coverage_by_questions() -> None:
    results = [
        scored(True, confidence=0.96),
        scored(False, confidence=0.8),
        scored(True, confidence=1.0),
        scored(False, answered=False),
        scored(True, confidence=0.99, counts=False),
        scored(False, confidence=0.5, kind="clarify"),
    ]
    table = reliability(results)
    assert table is not None
    assert table.answers == 3
    assert [(b.low, b.answers, b.right) for b in table.bins] == [(0.75, 1, 0), (0.95, 2, 2)]
    by_threshold = {s.threshold: (s.answers, s.right, s.coverage) for s in table.selective}
    assert by_threshold[0.0] == (3, 2, 0.75)
    assert by_threshold[0.9] == (2, 2, 0.5)
    assert table.brier == pytest.approx((0.04**2 + 0.8**2 + 0) / 3)


def test_without_confidences_there_is_no_table() -> None:
    assert reliability([scored(True), scored(False)]) is None
