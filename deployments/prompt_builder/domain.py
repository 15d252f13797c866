"""The domain pack: what people of a trade call the things in a schema. Data only; one folder per domain.

``configs/domains/<name>/domain.yaml`` holds this model; ``examples.jsonl`` the question/SQL pairs; further
files (phrases for synthesis, phrasings by writers) stand beside them and are read by their own modules.
"""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from serve_app.contracts import SemanticType

Role = Literal["id", "name", "lookup", "measure", "date", "attribute", "text"]


class PackModel(BaseModel):
    """Base of every part of a pack: a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnTerms(PackModel):
    """How people speak of a column.

    ``role``: ``name`` columns identify things (linked as V placeholders), ``lookup`` columns hold a closed
    list of words (written by the model as literals), ``measure`` columns are summed or averaged, ``date``
    columns order in time.
    """

    role: Role
    terms: tuple[str, ...] = Field(default=(), description="Nouns for the column, commonest first, singular")
    semantic: SemanticType | None = None
    unit: str | None = Field(default=None, description="Unit people say with it, e.g. hours, dollars")
    values: dict[str, tuple[str, ...]] = Field(default={}, description="Stored value -> other words for it")
    description: str | None = None


class TableTerms(PackModel):
    """How people speak of a table's rows."""

    terms: tuple[str, ...] = Field(min_length=1, description="Nouns for one row, commonest first, singular")
    plurals: tuple[str, ...] = Field(
        default=(), description="Plurals that are not noun + s, in the order of terms"
    )
    display: tuple[str, ...] = Field(
        min_length=1, description="Columns shown when none are asked for; t.c reaches a parent"
    )
    label: str | None = Field(default=None, description="The column that names a row")
    date: str | None = Field(default=None, description="The date meant when only a time is said")
    measure: str | None = Field(default=None, description="The measure meant by 'how much'")
    columns: dict[str, ColumnTerms]
    description: str | None = None


class Derived(PackModel):
    """A named, computed value: ``expression`` in the query specification's language (`query_spec.nodes`)."""

    table: str
    name: str
    kind: Literal["value", "predicate"]
    expression: str
    terms: tuple[str, ...] = Field(min_length=1)
    semantic: SemanticType | None = None
    description: str | None = None


class DomainPack(PackModel):
    """Everything the assistant knows of a domain beyond the live schema."""

    name: str
    description: str
    week_starts_on: Literal["monday", "sunday"] = Field(
        default="monday", description='The first day of "this week" and of weekly groups'
    )
    tables: dict[str, TableTerms]
    derived: tuple[Derived, ...] = ()
    notes: tuple[str, ...] = Field(
        default=(), description="Readings told to an instruction model, one sentence each"
    )

    @field_validator("derived", "notes", mode="before")
    @classmethod
    def _empty_section(cls, given: object) -> object:
        """A section of which nothing but comments is left."""
        return () if given is None else given

    def derived_of(self, table: str) -> dict[str, Derived]:
        return {d.name: d for d in self.derived if d.table == table}


def load_domain(folder: Path) -> DomainPack:
    """Read ``domain.yaml`` of a pack folder.

    Raises:
        FileNotFoundError: the folder holds no domain.yaml.
        pydantic.ValidationError: the file does not fit the model.
    """
    return DomainPack.model_validate(yaml.safe_load((folder / "domain.yaml").read_text(encoding="utf-8")))
