"""What a result column means, by its type, its name and the domain's words."""

import pytest

from deployments.executor.formatting import column_info
from serve_app.contracts import SemanticType

SEMANTICS: dict[str, SemanticType] = {
    "amount": "currency",
    "cost": "currency",
    "budget_used": "percent",
    "budget": "currency",
    "share": "percent",
}

CASES = [
    ("amount", "numeric", "numeric", "currency"),
    ("Total_Amount", "numeric", "numeric", "currency"),
    ("amount_2025", "float8", "double precision", "currency"),
    ("amounts", "numeric", "numeric", "number"),
    ("budget_used", "numeric", "numeric", "percent"),
    ("average_budget_used", "numeric", "numeric", "percent"),
    ("budget", "int8", "bigint", "currency"),
    ("budget", "text", "text", "text"),
    ("cost_count", "int8", "bigint", "count"),
    ("count", "int8", "bigint", "count"),
    ("id", "int4", "integer", "id"),
    ("project_id", "int8", "bigint", "id"),
    ("paid", "numeric", "numeric", "number"),
    ("when", "date", "date", "date"),
    ("when", "timestamptz", "timestamp with time zone", "datetime"),
    ("done", "bool", "boolean", "boolean"),
    ("data", "jsonb", "jsonb", "json"),
    ("key", "uuid", "uuid", "id"),
    ("price", "money", "money", "currency"),
    ("amount", "numeric[]", "numeric[]", "json"),
    ("pair", "record", "record", "json"),
    ("status", "project_status", "project_status", "text"),
]


@pytest.mark.parametrize(("name", "type_name", "database_type", "semantic"), CASES)
def test_column_meaning(name: str, type_name: str, database_type: str, semantic: str) -> None:
    info = column_info(name, type_name, SEMANTICS)
    assert (info.name, info.database_type, info.semantic_type) == (name, database_type, semantic)
