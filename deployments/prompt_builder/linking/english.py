"""General English data of the linker: contractions, abbreviations, function words, known words."""

from calendar import monthrange
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from deployments.prompt_builder.linking.calendar import Unit
from serve_app.paths import PROJECT_ROOT

DATA_FOLDER = PROJECT_ROOT / "configs" / "linking"
_COMMON_YEAR: Final = 2026  # a holiday falls into every year
DAY_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Holiday(BaseModel):
    """A fixed day of a month, or its ``nth`` weekday (-1: the last); ``needs_day`` as in "labor day"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    month: int = Field(ge=1, le=12)
    day: int = Field(default=0, ge=0, le=31)
    weekday: str = ""
    nth: int = Field(default=0, ge=-1, le=4)
    needs_day: bool = False

    @model_validator(mode="after")
    def _names_one_day(self) -> Self:
        fixed = bool(self.day) and not self.nth and not self.weekday
        counted = not self.day and bool(self.nth) and self.weekday in DAY_NAMES
        if not (fixed or counted) or self.day > monthrange(_COMMON_YEAR, self.month)[1]:
            raise ValueError("a holiday has a day of its month, or a weekday and its nth")
        return self


class English(BaseModel):
    """Word lists that no trade owns; ``english.yaml`` documents each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contractions: dict[str, str]
    abbreviations: dict[str, str]
    phrases: dict[str, str]
    stop_words: frozenset[str]
    filler_words: frozenset[str]
    date_prepositions: frozenset[str]
    glue_words: frozenset[str]
    weak_words: frozenset[str]
    future_cues: frozenset[str]
    just_gone: tuple[str, ...]
    through_verbs: frozenset[str]
    change_cues: frozenset[str]
    step_words: dict[str, Unit]
    holidays: dict[str, Holiday]
    place_nouns: frozenset[str]
    naming_words: frozenset[str]
    source_words: frozenset[str]
    superlatives: frozenset[str]
    business_words: frozenset[str]
    known_words: tuple[str, ...] = ()


@lru_cache(maxsize=4)
def load_english(folder: Path = DATA_FOLDER) -> English:
    """Read ``english.yaml`` and ``words.txt`` (known words, most frequent first).

    Raises:
        FileNotFoundError: one of the files is missing.
        pydantic.ValidationError: ``english.yaml`` does not fit the model.
    """
    # YAML 1.1 reads "no" and "off" as booleans; as words they are quoted or restored here.
    raw = yaml.load((folder / "english.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    words = (folder / "words.txt").read_text(encoding="utf-8").split()
    return English.model_validate({**raw, "known_words": tuple(words)})
