"""General English data of the linker: contractions, abbreviations, function words, known words."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from deployments.prompt_builder.linking.calendar import Unit
from serve_app.paths import PROJECT_ROOT

DATA_FOLDER = PROJECT_ROOT / "configs" / "linking"


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
    naming_words: frozenset[str]
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
