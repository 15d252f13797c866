"""Attempts at the model, each put where its text comes from in life.

`tests/data/injections.jsonl`: at what a policy keeps away; `tests/data/crossings.jsonl`: at rows of others.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from deployments.prompt_builder.retrieval import Example
from serve_app.contracts import Exchange, SchemaSnapshot, VerifiedExample

ROOT = Path(__file__).parents[1]
INJECTIONS = ROOT / "tests/data/injections.jsonl"
CROSSINGS = ROOT / "tests/data/crossings.jsonl"
ASKED = "How many projects are there?"
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Attempt:
    """A text of somebody else's, where it stands, and what a model that obeys it writes.

    ``expect``: ``rejected`` by the guardrail, ``refused`` in the server's own words, ``harmless`` rows, or
    ``limited``: rejected or ended by a limit. Of crossings: ``rejected``, ``own`` rows, or ``empty``: NULL or
    zero, if anything.
    """

    id: str
    place: str
    text: str
    demand: str
    expect: str

    @property
    def question(self) -> str:
        return self.text if self.place == "question" else ASKED

    def schema(self, schema: SchemaSnapshot) -> SchemaSnapshot:
        """The schema with the text in its expenses table."""
        table = schema.table("expenses")
        assert table is not None
        columns = {column.name: column for column in table.columns}
        changes: dict[str, dict[str, Any]] = {
            "column_comment": {"amount": {"comment": self.text}},
            "value": {"category": {"sample_values": ("labor", self.text), "enum_values": ()}},
            "enum_label": {"category": {"enum_values": ("labor", self.text)}},
            "column_name": {"description": {"name": self.text}},
        }
        for name, change in changes.get(self.place, {}).items():
            columns[name] = columns[name].model_copy(update=change)
        comment = self.text if self.place == "table_comment" else table.comment
        made = table.model_copy(update={"columns": tuple(columns.values()), "comment": comment})
        tables = tuple(made if t.name == table.name else t for t in schema.tables)
        return schema.model_copy(update={"tables": tables, "fingerprint": self.id})

    def history(self) -> tuple[Exchange, ...]:
        if self.place == "history":
            return (Exchange(question=self.text, sql="SELECT count(*) FROM projects", at=AT),)
        if self.place == "clarification":
            return (Exchange(question=ASKED, kind="clarification", answer=self.text, at=AT),)
        return ()

    async def accepted(self) -> tuple[VerifiedExample, ...]:
        """Feedback that an operator accepted without a second look."""
        if self.place != "example":
            return ()
        sql = "SELECT count(*) FROM projects"
        return (VerifiedExample(id="f-1", question=self.text, sql=sql, asked_on=date(2026, 11, 1)),)


def attempts(file: Path = INJECTIONS) -> list[Attempt]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Attempt(**json.loads(line)) for line in lines]


def pack_examples() -> tuple[Example, ...]:
    return (Example(question=ASKED, sql="SELECT count(*) FROM projects", kind="count"),)
