"""The words that drafting guesses from, read from ``configs/drafting/english.yaml``."""

from functools import cache
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict

from serve_app.contracts import SemanticType
from serve_app.paths import PROJECT_ROOT

HINTS_FILE = PROJECT_ROOT / "configs" / "drafting" / "english.yaml"
Words = frozenset[str]


class HintModel(BaseModel):
    """Base of the hints: a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasureHint(HintModel):
    """What a number with one of these words in its name is."""

    words: Words
    semantic: SemanticType
    unit: str


class DraftingHints(HintModel):
    """General English about the names of tables and columns; the file says what each key is for."""

    abbreviations: dict[str, str]
    irregular_plurals: dict[str, str]
    table_synonyms: dict[str, tuple[str, ...]]
    ignored_tables: Words
    code_words: Words
    free_text_words: Words
    lookup_words: Words
    name_words: Words
    label_words: tuple[str, ...]
    measures: tuple[MeasureHint, ...]
    rate_words: Words
    rate_units: dict[str, str]
    quantity_words: Words
    main_measure_words: tuple[str, ...]
    last_measure_words: Words
    late_dates: tuple[str, ...]
    due_dates: Words
    closing_dates: Words
    starting_dates: Words

    @classmethod
    @cache
    def load(cls) -> Self:
        return cls.model_validate(yaml.safe_load(HINTS_FILE.read_text(encoding="utf-8")))
