"""Example question/SQL pairs, retrieved by similarity to a question: TF-IDF over words and trigrams."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Trigrams carry spelling and inflection, words carry meaning: a word counts as much as three of its trigrams.
WORD_WEIGHT = 3.0

_WORD = re.compile(r"[^\W_]+")


class Example(BaseModel):
    """A question with the SQL that answers it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=3, max_length=1000)
    sql: str = Field(min_length=8, max_length=8000)
    kind: str = Field(description="What the pair shows: date_range, category, comparison, top_n, window, …")
    query_spec: str | None = Field(
        default=None, description="The same as a query specification with the question's placeholders"
    )
    id: str = Field(default="", description="Where the pair comes from")
    organization_id: str | None = Field(default=None, description="Whose pair it is; None: everyone's")
    asked_on: date | None = Field(default=None, description="The day as of which relative dates were meant")

    def visible_to(self, organization_id: str | None) -> bool:
        return self.organization_id in (None, organization_id)


def load_examples(path: Path) -> tuple[Example, ...]:
    """Read a JSON lines file of examples; a pack without the file has none.

    Raises:
        ValueError: a line is no example; says which line and what is wrong.
    """
    examples: list[Example] = []
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            read = Example.model_validate(json.loads(line))
            examples.append(read if read.id else read.model_copy(update={"id": f"pack:{number}"}))
        except (json.JSONDecodeError, ValidationError) as error:
            raise ValueError(f"{path.name}, line {number}: {' '.join(str(error).split())}") from error
    return tuple(examples)


def words(text: str) -> list[str]:
    """Lower-case words with plural endings taken off."""
    return [_singular(word) for word in _WORD.findall(text.casefold())]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


class ExampleIndex:
    """Sparse vectors of all examples, built once."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = tuple(examples)
        features = [_features(example.question) for example in self._examples]
        spread = Counter(feature for vector in features for feature in vector)
        self._idf = {feature: math.log((1 + len(features)) / (1 + n)) + 1.0 for feature, n in spread.items()}
        self._unseen_idf = math.log(1 + len(features)) + 1.0
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for position, vector in enumerate(features):
            for feature, weight in self._weighted(vector).items():
                self._postings.setdefault(feature, []).append((position, weight))

    def nearest(
        self, question: str, count: int, minimum: float = 0.0, organization_id: str | None = None
    ) -> tuple[tuple[Example, float], ...]:
        """The ``count`` most similar examples with their cosine similarity, at least ``minimum``.

        Those of other organizations than ``organization_id`` are left out.
        """
        scores: defaultdict[int, float] = defaultdict(float)
        for feature, weight in self._weighted(_features(question)).items():
            for position, other in self._postings.get(feature, ()):
                scores[position] += weight * other
        visible = [item for item in scores.items() if self._examples[item[0]].visible_to(organization_id)]
        best = sorted(visible, key=lambda item: (-item[1], item[0]))[:count]
        return tuple((self._examples[position], score) for position, score in best if score >= minimum)

    def _weighted(self, vector: Counter[str]) -> dict[str, float]:
        """TF-IDF with logarithmic term frequency, scaled to length one."""
        weighted = {
            feature: (WORD_WEIGHT if feature[0] == "w" else 1.0)
            * (1.0 + math.log(n))
            * self._idf.get(feature, self._unseen_idf)
            for feature, n in vector.items()
        }
        length = math.sqrt(sum(weight * weight for weight in weighted.values()))
        return {feature: weight / length for feature, weight in weighted.items()} if length else {}


def _features(text: str) -> Counter[str]:
    found = words(text)
    trigrams = [
        f"c{padded[i : i + 3]}" for word in found for padded in (f" {word} ",) for i in range(len(padded) - 2)
    ]
    return Counter([f"w{word}" for word in found] + trigrams)
