"""Statements are told from questions."""

import pytest

from serve_app.pasted_sql import refusal_of_pasted_sql


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM projects",
        "select count(*) from expenses where amount > 5;",
        "SELECT name FROM projects WHERE id = 1",
        "SELECT 1",
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "DELETE FROM expenses",
        "drop table projects",
        "UPDATE projects SET name = 'x'",
        "-- hi\nINSERT INTO t VALUES (1)",
        "/* c */ TRUNCATE TABLE labor",
        "EXPLAIN ANALYZE SELECT 1 FROM t",
        "GRANT ALL ON projects TO bob",
    ],
)
def test_statements(text: str) -> None:
    refusal = refusal_of_pasted_sql(text)
    assert refusal is not None
    assert "/api/sql/run" in refusal.message


@pytest.mark.parametrize(
    "text",
    [
        "How much was spent on permits in Q1 2025?",
        "Select all projects from Denver",
        "select the ten largest expenses from last month",
        "With which vendors did we spend the most?",
        "Update on the Riverside project?",
        "Delete nothing, just show me the expenses",
        "drop in spend since March",
        "Create a list of overdue projects",
        "explain the variance of Oak Tower",
        "",
    ],
)
def test_questions(text: str) -> None:
    assert refusal_of_pasted_sql(text) is None
