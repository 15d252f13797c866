"""Fitting how sure an answer is, and telling how far that can be trusted.

The fit is a logistic regression on a few features (Platt, 1999) with a ridge penalty, by Newton's method.
Only answers count: a refusal has no rows to be sure of. Selective accuracy is that of El-Yaniv and Wiener
(2010): of the answers at or above a confidence, how many are right, and what part of all questions they are.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serve_app.confidence import FEATURES, SIGNS, Calibration, logistic
from serve_app.evaluation.items import EvalModel
from serve_app.evaluation.run import Scored

# On standardized features: keeps features that say the same from growing against each other.
RIDGE: Final = 1.0
# Fewer wrong or right answers tell too little about nine coefficients.
LEAST_OF_EACH: Final = 8
NEWTON_STEPS: Final = 50
CONVERGED: Final = 1e-9
BINS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
THRESHOLDS: Final = (0.0, 0.25, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)

Vector = NDArray[np.float64]


class CalibrationError(Exception):
    """The results cannot be calibrated on; the message says why."""


class Bin(EvalModel):
    """Answers whose confidence is within ``low`` (inclusive) and ``high``."""

    low: float
    high: float
    answers: int
    right: int
    mean_confidence: float


class Selection(EvalModel):
    """What is answered at ``threshold`` and above. ``coverage`` is its part of all questions that count."""

    threshold: float
    answers: int
    right: int
    coverage: float

    @property
    def accuracy(self) -> float | None:
        return self.right / self.answers if self.answers else None


class Reliability(EvalModel):
    """How far the confidence of a run's answers can be trusted."""

    answers: int
    brier: float
    expected_calibration_error: float
    bins: tuple[Bin, ...]
    selective: tuple[Selection, ...]


def reliability(results: Iterable[Scored]) -> Reliability | None:
    """The table of a run; None if its answers tell no confidence."""
    counted = [result for result in results if result.counts and result.kind != "clarify"]
    known = [(r.confidence, r.right) for r in counted if r.answered and r.confidence is not None]
    if not known:
        return None
    bins = tuple(found for low, high in pairwise(BINS) if (found := _bin(low, high, known)) is not None)
    gaps = [abs(b.mean_confidence - b.right / b.answers) * b.answers for b in bins]
    return Reliability(
        answers=len(known),
        brier=sum((confidence - right) ** 2 for confidence, right in known) / len(known),
        expected_calibration_error=sum(gaps) / len(known),
        bins=bins,
        selective=tuple(_selection(threshold, known, len(counted)) for threshold in THRESHOLDS),
    )


def _bin(low: float, high: float, known: Sequence[tuple[float, bool]]) -> Bin | None:
    inside = [(c, right) for c, right in known if low <= c < high or (c == high == BINS[-1])]
    if not inside:
        return None
    mean = sum(c for c, _ in inside) / len(inside)
    right = sum(right for _, right in inside)
    return Bin(low=low, high=high, answers=len(inside), right=right, mean_confidence=mean)


def _selection(threshold: float, known: Sequence[tuple[float, bool]], asked: int) -> Selection:
    taken = [right for confidence, right in known if confidence >= threshold]
    return Selection(threshold=threshold, answers=len(taken), right=sum(taken), coverage=len(taken) / asked)


def fit(results: Iterable[Scored], model: str, data: Sequence[str]) -> Calibration:
    """The calibration that explains best which answers were right.

    Raises:
        CalibrationError: there are too few right or wrong answers, or they tell no features.
    """
    known = [
        (result.features, result.right)
        for result in results
        if result.answered and result.features is not None and result.kind != "clarify"
    ]
    right = sum(is_right for _, is_right in known)
    if min(right, len(known) - right) < LEAST_OF_EACH:
        raise CalibrationError(
            f"{right} right and {len(known) - right} wrong answers with features are too few to calibrate "
            f"on; give files with at least {LEAST_OF_EACH} of each"
        )
    table = np.array([[getattr(f, name) for name in FEATURES] for f, _ in known], dtype=np.float64)
    labels = np.array([float(is_right) for _, is_right in known])
    mean, spread = table.mean(axis=0), table.std(axis=0)
    # What never varies says nothing.
    spread = np.where(spread > 0, spread, np.inf)
    intercept, weights = _signed((table - mean) / spread, labels)
    coefficients = weights / spread
    calibration = Calibration(
        model=model,
        data=tuple(data),
        questions=len(known),
        right=right,
        log_loss=0.0,
        intercept=round(float(intercept - coefficients @ mean), 6),
        coefficients={
            name: round(float(value), 6) for name, value in zip(FEATURES, coefficients, strict=True) if value
        },
    )
    losses = [
        -math.log(max(p if is_right else 1 - p, 1e-12))
        for p, is_right in ((calibration.probability(features), is_right) for features, is_right in known)
    ]
    return calibration.model_copy(update={"log_loss": round(sum(losses) / len(losses), 4)})


def _signed(table: Vector, labels: Vector) -> tuple[float, Vector]:
    """The fit over the features whose weights have the sign that they must have.

    On little data a feature may look as if unknown words made an answer righter; such a one is left out.
    """
    signs = np.array([SIGNS[name] for name in FEATURES])
    kept = np.ones(len(signs), dtype=bool)
    while True:
        intercept, found = _newton(table[:, kept], labels)
        weights = np.zeros(len(signs))
        weights[kept] = found
        wrong = weights * signs < 0
        if not wrong.any():
            return intercept, weights
        # One at a time, the most wrong first: what it explained may right the others.
        kept[int(np.argmax(np.where(wrong, np.abs(weights), -1.0)))] = False


def _newton(table: Vector, labels: Vector) -> tuple[float, Vector]:
    """Intercept (not penalized) and weights of the ridge-penalized maximum likelihood."""
    design = np.hstack([np.ones((len(labels), 1)), table])
    penalty = np.diag([0.0] + [RIDGE] * table.shape[1])
    weights = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        probabilities = np.array([logistic(logit) for logit in design @ weights])
        gradient = design.T @ (labels - probabilities) - penalty @ weights
        hessian = (design * (probabilities * (1 - probabilities))[:, None]).T @ design + penalty
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step
        if float(np.abs(step).max()) < CONVERGED:
            break
    return float(weights[0]), weights[1:]
