"""Asking for a column that the policy withholds tells no more than asking for one that is not there."""

import pytest

from deployments.sql_validator.validator import Validator
from serve_app.contracts import RejectedSql, SchemaSnapshot
from tests.prompt_cases import SAMPLE_SCHEMA
from tests.sql_cases import validator

HIDDEN = {"hourly_rate", "worker_name"}
STATEMENTS = (
    "SELECT hourly_rate FROM labor",
    "SELECT labor.hourly_rate FROM labor",
    "SELECT l.worker_name, l.trade FROM labor AS l",
    "SELECT public.labor.hourly_rate FROM public.labor",
    "SELECT trade FROM labor WHERE hourly_rate > 40",
    "SELECT trade, sum(hours) FROM labor GROUP BY trade HAVING max(hourly_rate) > 40",
    "SELECT trade FROM labor ORDER BY hourly_rate DESC",
    "SELECT sum(hours * hourly_rate) FROM labor",
    "SELECT p.name FROM projects p JOIN labor l ON l.project_id = p.id AND l.hourly_rate > 1",
    "SELECT count(*) FROM labor a JOIN labor b USING (worker_name)",
    "WITH w AS (SELECT hourly_rate AS rate FROM labor) SELECT rate FROM w",
    "SELECT (SELECT max(hourly_rate) FROM labor) AS highest",
    "SELECT name FROM projects WHERE EXISTS (SELECT 1 FROM labor WHERE worker_name = projects.name)",
    "SELECT max(hours) OVER (PARTITION BY worker_name) FROM labor",
    "SELECT count(*) FILTER (WHERE hourly_rate > 3) FROM labor",
    "SELECT DISTINCT ON (worker_name) trade FROM labor",
)


def without(schema: SchemaSnapshot, hidden: set[str]) -> SchemaSnapshot:
    """A database in which these columns were never made."""
    tables = tuple(
        t.model_copy(update={"columns": tuple(c for c in t.columns if c.name not in hidden)})
        for t in schema.tables
    )
    return schema.model_copy(update={"tables": tables, "fingerprint": "without"})


@pytest.mark.parametrize("sql", STATEMENTS)
def test_the_verdict_is_that_of_a_database_without_the_column(sql: str) -> None:
    checked: Validator = validator()
    with_it, without_it = (
        checked.validate(sql, "restricted", schema)
        for schema in (SAMPLE_SCHEMA, without(SAMPLE_SCHEMA, HIDDEN))
    )
    assert isinstance(with_it, RejectedSql)
    assert with_it == without_it
    assert all("restricted" not in v.reason and "policy" not in v.message for v in with_it.violations)


def test_a_star_names_what_may_be_read_and_nothing_else() -> None:
    verdict = validator().validate("SELECT * FROM labor", "restricted", SAMPLE_SCHEMA)
    assert isinstance(verdict, RejectedSql)
    assert verdict.first.rule == "denied_column"
    assert not any(name in str(verdict) for name in HIDDEN)
    assert "hours" in verdict.first.reason
