"""How sure an answer is: features of a choice, and a calibrated probability that it is right.

The probability is logistic in the features (Platt, 1999); its coefficients are data beside the model's
weights, fitted by ``plumbline eval … --calibrate`` (`serve_app.evaluation.calibration`).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from serve_app.choosing import Group, Readings
from serve_app.contracts import ExecutionResult, Message, Prompt, Tried
from serve_app.errors import ConfigurationError

CALIBRATION_FILE: Final = "calibration.json"
# Beyond these a feature says no more: a candidate without a rival, a sequence that is all but impossible.
LARGEST_MARGIN: Final = 8.0
LEAST_LOGPROB: Final = -20.0


class Features(Message):
    """What is known of an answer when it is chosen. Log-probabilities are natural; 0 if not told."""

    logprob: float = Field(description="Of the likeliest text for the chosen statement")
    mean_logprob: float = Field(description="The same per token")
    group_logprob: float = Field(description="Of all texts whose statements give the chosen rows, together")
    margin: float = Field(description="Log of how much heavier the chosen group is than the next")
    share: float = Field(description="The chosen group's part of the weight of all texts")
    unused: float = Field(
        description="Names, numbers and dates of the question that the statement leaves out"
    )
    unknown_words: float = Field(description="Words of the question that no vocabulary holds")
    no_values: float = Field(description="1 if the result holds no rows, or nothing but NULL")
    follow_up: float = Field(description="1 if the question was read together with the exchange before")


FEATURES: Final = tuple(Features.model_fields)
# Which way each feature may speak: +1 for a righter answer, -1 for a wronger one, 0 either way.
SIGNS: Final = {
    "logprob": 1,
    "mean_logprob": 1,
    "group_logprob": 1,
    "margin": 1,
    "share": 1,
    "unused": -1,
    "unknown_words": -1,
    "no_values": -1,
    "follow_up": 0,
}


class Thresholds(Message):
    """What is done at which confidence: at ``answer`` and above the answer stands for itself."""

    answer: float = Field(
        default=0.75,
        ge=0.0,
        le=1.0,
        description="Below: the cascade's next engine is asked, and the answer carries a caveat",
    )
    refuse: float = Field(default=0.1, ge=0.0, le=1.0, description="Below: a refusal in place of the answer")


class Calibration(Message):
    """A fitted logistic model of "this answer is right", and what it was fitted on."""

    model: str = Field(description="Model profile's name")
    data: tuple[str, ...] = Field(description="Names of the evaluation files")
    questions: int = Field(ge=1, description="Answers among them")
    right: int = Field(ge=0)
    log_loss: float = Field(description="Mean, in nats, on these answers")
    intercept: float
    coefficients: dict[str, float]

    def probability(self, features: Features) -> float:
        """That the answer is right, from 0 to 1."""
        known = features.model_dump()
        return logistic(self.intercept + sum(c * known[name] for name, c in self.coefficients.items()))


def logistic(logit: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


def load_calibration(path: Path) -> Calibration:
    """Read a fitted calibration.

    Raises:
        ConfigurationError: the file is none, or names a feature that does not exist.
    """
    try:
        found = Calibration.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"The calibration {path} cannot be used: {reason}") from error
    unknown = sorted(found.coefficients.keys() - set(FEATURES))
    if unknown:
        raise ConfigurationError(
            f"The calibration {path} names unknown features ({', '.join(unknown)}); fit it again with "
            "`plumbline eval FILES --calibrate`."
        )
    return found


def features_of(
    prompt: Prompt, readings: Readings, groups: Sequence[Group], chosen: Group, result: ExecutionResult
) -> Features:
    """Features of the answer ``result``, given by the best statement of the group ``chosen``."""
    statement = chosen.best.statement
    next_weight = max((group.weight for group in groups if group is not chosen), default=0.0)
    margin = math.log(chosen.weight / next_weight) if next_weight and chosen.weight else LARGEST_MARGIN
    together = (
        readings.scale + math.log(chosen.weight) if readings.scale is not None and chosen.weight else 0.0
    )
    outcome = chosen.best.outcome
    has_values = (
        outcome.has_values
        if isinstance(outcome, Tried)
        else any(value is not None for row in result.rows for value in row)
    )
    return Features(
        logprob=max(statement.text.logprob or 0.0, LEAST_LOGPROB),
        mean_logprob=max(statement.text.mean_logprob or 0.0, LEAST_LOGPROB),
        group_logprob=max(min(together, 0.0), LEAST_LOGPROB),
        margin=max(-LARGEST_MARGIN, min(margin, LARGEST_MARGIN)),
        share=min(chosen.weight / readings.total_weight, 1.0) if readings.total_weight else 0.0,
        unused=float(len(statement.candidate.unused)),
        unknown_words=float(prompt.unknown_words),
        no_values=0.0 if has_values else 1.0,
        follow_up=float(prompt.context_used > 0),
    )
