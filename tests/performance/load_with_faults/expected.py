"""What is known to be right: questions that are answered, without load, with the rows of a gold statement."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from serve_app.evaluation.items import Turn
from serve_app.evaluation.scoring import Rows, equal_rows, normalised

# Values that JSON tells as text, by the database type's first word.
READERS: Mapping[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
    "numeric": Decimal,
}


@dataclass(frozen=True)
class Gold:
    """A gold statement and its rows."""

    sql: str
    rows: Rows


@dataclass(frozen=True)
class Expected:
    """A question with the golds' rows and, once asked without load, its answer's statement and rows."""

    question: str
    golds: tuple[Gold, ...]
    ordered: bool
    sql: str | None = None
    data: Mapping[str, Any] | None = None

    def is_right(self, body: Mapping[str, Any]) -> bool:
        """Whether the delivered rows are a gold statement's."""
        rows = delivered(body)
        return any(equal_rows(rows, gold.rows, self.ordered, gold.sql) for gold in self.golds)

    def is_same(self, body: Mapping[str, Any]) -> bool:
        """Whether they are the rows of the answer without load."""
        return self.data is not None and same_data(self.data, body["data"], self.ordered)

    def is_right_otherwise(self, body: Mapping[str, Any]) -> bool:
        """Whether another statement gave a gold's rows; the same one has no other rows to give."""
        return body["sql"] != self.sql and self.is_right(body)


def delivered(body: Mapping[str, Any]) -> Rows:
    """The rows of an answer as values that compare with the database's."""
    columns = body["metadata"]["columns"]
    names = [column["name"] for column in columns]
    readers = [READERS.get(re.split(r"\W", column["database_type"])[0]) for column in columns]
    rows = [
        [
            reader(row[name]) if reader and isinstance(row[name], str) else row[name]
            for name, reader in zip(names, readers, strict=True)
        ]
        for row in body["data"]["rows"]
    ]
    return normalised(len(names), rows)


def same_data(one: Mapping[str, Any], other: Mapping[str, Any], ordered: bool) -> bool:
    """Whether two results are the same to the last digit; their rows in any order unless ``ordered``."""
    if (one["columns"], one["row_count"]) != (other["columns"], other["row_count"]):
        return False
    texts, others = ([json.dumps(row) for row in data["rows"]] for data in (one, other))
    return texts == others if ordered else Counter(texts) == Counter(others)


async def with_golds(turns: Sequence[Turn], dsn: str) -> list[Expected]:
    """Run the gold statements of questions."""
    connection = await asyncpg.connect(dsn)
    try:
        return [
            Expected(turn.question, tuple([await _gold(connection, sql) for sql in turn.gold]), turn.ordered)
            for turn in turns
        ]
    finally:
        await connection.close()


async def _gold(connection: "asyncpg.Connection[Any]", sql: str) -> Gold:
    statement = await connection.prepare(sql)
    records = await statement.fetch()
    return Gold(sql, normalised(len(statement.get_attributes()), [tuple(record) for record in records]))
