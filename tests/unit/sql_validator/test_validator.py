"""What the validator says and what it writes."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlglot.dialects.postgres import Postgres

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.policy import Policies, Policy
from deployments.sql_validator.rules import RULES
from deployments.sql_validator.validator import Validator
from serve_app.contracts import RejectedSql, ValidSql
from tests.sql_cases import validator

DATA = Path(__file__).parents[2] / "data" / "sql_safety"
CASES = [json.loads(line) for line in (DATA / "rules.jsonl").read_text(encoding="utf-8").splitlines()]
ANALYSES = [
    text.strip().rstrip(";") for text in (DATA / "analyses.sql").read_text(encoding="utf-8").split("\n\n")[1:]
]


def accepted(sql: str, policy: str = "default") -> ValidSql:
    verdict = validator().validate(sql, policy)
    assert isinstance(verdict, ValidSql), verdict
    return verdict


def rejected(sql: str, policy: str = "default") -> RejectedSql:
    verdict = validator().validate(sql, policy)
    assert isinstance(verdict, RejectedSql), verdict
    return verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']}: {case['sql'][:40]!a}")
def test_each_fault_is_named_exactly(case: dict[str, Any]) -> None:
    first = rejected(case["sql"], case.get("policy", "default")).first
    assert first.rule == case["rule"]
    assert case["reason"] in first.reason
    assert first.message
    if "position" in case:
        assert first.position == case["position"]


def test_denied_names_are_never_suggested() -> None:
    reason = rejected("SELECT hourly_rat, workername FROM labor", "restricted").first.reason
    assert "hourly_rate" not in reason
    assert "worker_name" not in reason


def test_all_faults_of_a_statement_are_reported() -> None:
    rules = [v.rule for v in rejected("SELECT nme, cty FROM projects WHERE budgt > 1").violations]
    assert rules == ["unknown_column"] * 3


@pytest.mark.parametrize("sql", ANALYSES, ids=lambda sql: sql[:50])
def test_ordinary_analyses_are_accepted(sql: str) -> None:
    verdict = accepted(sql)
    assert accepted(verdict.sql).sql == verdict.sql


@pytest.mark.parametrize(
    ("sql", "written", "applied"),
    [
        ("SELECT id FROM projects", "SELECT id FROM projects LIMIT 10001", True),
        ("SELECT id FROM projects;", "SELECT id FROM projects LIMIT 10001", True),
        ("SELECT id FROM projects LIMIT 5", "SELECT id FROM projects LIMIT 5", False),
        ("SELECT id FROM projects LIMIT 20000", "SELECT id FROM projects LIMIT 10001", True),
        ("SELECT id FROM projects LIMIT 99999999999", "SELECT id FROM projects LIMIT 10001", True),
        ("SELECT id FROM projects LIMIT ALL", "SELECT id FROM projects LIMIT 10001", True),
        ("SELECT id FROM projects LIMIT NULL", "SELECT id FROM projects LIMIT 10001", True),
        ("SELECT id FROM projects OFFSET 3", "SELECT id FROM projects LIMIT 10001 OFFSET 3", True),
        ("SELECT id FROM projects LIMIT 2 + 3", "SELECT id FROM projects LIMIT LEAST(2 + 3, 10001)", True),
        ("SELECT id FROM projects FETCH FIRST 3 ROWS ONLY", "SELECT id FROM projects LIMIT 3", False),
        (
            "SELECT id FROM projects ORDER BY id FETCH FIRST 3 ROWS WITH TIES",
            "SELECT * FROM (SELECT id FROM projects ORDER BY id FETCH FIRST 3 ROWS WITH TIES) capped "
            "LIMIT 10001",
            True,
        ),
        (
            "(SELECT id FROM projects LIMIT 2) UNION ALL SELECT id FROM vendors ORDER BY id",
            "(SELECT id FROM projects LIMIT 2) UNION ALL SELECT id FROM vendors ORDER BY id LIMIT 10001",
            True,
        ),
        (
            "WITH t AS (SELECT 1 AS a) SELECT a FROM t",
            "WITH t AS (SELECT 1 AS a) SELECT a FROM t LIMIT 10001",
            True,
        ),
        ("SELECT 1 -- note", "SELECT 1 LIMIT 10001", True),
    ],
)
def test_the_row_cap_is_written_into_the_statement(sql: str, written: str, applied: bool) -> None:
    verdict = accepted(sql)
    assert (verdict.sql, verdict.cap_applied, verdict.row_cap) == (written, applied, 10_001)
    assert accepted(written).sql == written


def test_a_policy_may_lower_the_row_cap_but_not_raise_it() -> None:
    policies = Policies({"low": Policy(row_cap=7), "high": Policy(row_cap=1_000_000)})
    checks = Validator(policies, ValidatorConfig(row_cap=100))
    for policy, cap in (("low", 7), ("high", 100)):
        verdict = checks.validate("SELECT 1", policy)
        assert isinstance(verdict, ValidSql)
        assert (verdict.sql, verdict.row_cap) == (f"SELECT 1 LIMIT {cap}", cap)


def test_tables_are_told() -> None:
    verdict = accepted(
        "WITH c AS (SELECT * FROM labor) SELECT * FROM c WHERE id IN (SELECT id FROM public.projects)"
    )
    assert verdict.tables == ("labor", "projects")


def test_an_unknown_policy_refuses() -> None:
    assert rejected("SELECT 1", "nosuch").first.rule == "policy"


@pytest.mark.parametrize(
    "rules", ["TEXT_RULES", "TOKEN_RULES", "TREE_RULES", "NAME_RULES", "WORK_RULES", "AGREEMENT_RULES"]
)
def test_a_fault_of_a_rule_refuses(monkeypatch: pytest.MonkeyPatch, rules: str) -> None:
    def broken(*_: object) -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr(f"deployments.sql_validator.validator.{rules}", (broken,))
    assert rejected("SELECT 1 -- one").first.rule == "internal"


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("select Name from projects", ["SELECT name FROM projects LIMIT 10001"]),
        ("SELECT name FROM projects LIMIT 5;", ["SELECT name FROM projects LIMIT 5"]),
        (
            "SELECT name FROM projects -- all",
            ["SELECT name FROM projects -- all", "SELECT name FROM projects LIMIT 10001"],
        ),
        (
            "SELECT CAST(id AS text) FROM projects LIMIT 5",
            ["SELECT CAST(id AS text) FROM projects LIMIT 5", "SELECT id::text FROM projects LIMIT 5"],
        ),
    ],
)
def test_the_second_reader_reads_what_runs_and_what_came_in_where_their_words_differ(
    monkeypatch: pytest.MonkeyPatch, sql: str, read: list[str]
) -> None:
    texts: list[str] = []
    plain = Postgres.parse

    def noting(dialect: Postgres, text: str, **options: Any) -> Any:
        texts.append(text)
        return plain(dialect, text, **options)

    monkeypatch.setattr(Postgres, "parse", noting)
    assert isinstance(validator().validate(sql, "default"), ValidSql)
    assert texts == read


@pytest.mark.parametrize("fault", [RecursionError, MemoryError])
def test_running_out_of_stack_or_memory_refuses(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def exhausted(*_: object) -> list[object]:
        raise fault

    monkeypatch.setattr("deployments.sql_validator.validator.NAME_RULES", (exhausted,))
    assert rejected("SELECT 1").first.rule == "nesting"


def test_text_that_reads_back_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.sql_validator.validator.regenerate", lambda tree: "SELECT 2 LIMIT 10001")
    assert rejected("SELECT 1").first.rule == "syntax"


def test_rules_are_told_apart_by_their_names() -> None:
    names = [rule.__name__ for phase in RULES for rule in phase]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 5_000,
        "SELECT " + "(" * 200 + "1" + ")" * 200,
        "SELECT " + "+".join(["1"] * 2_000),
        "SELECT " + "-" * 1 + " -" * 2_000 + "1",
        "SELECT " + "NOT " * 2_000 + "true",
        "SELECT 1" + "::int" * 2_000,
        "SELECT 1 " + "UNION SELECT 1 " * 900,
        "SELECT 1 FROM projects" + " JOIN projects ON true" * 900,
        "SELECT " + "CASE WHEN true THEN " * 500 + "1" + " END" * 500,
        "SELECT " + "date(" * 22 + "start_date" + ")" * 22 + " FROM projects",
        "SELECT " + '"date"(' * 22 + "start_date" + ")" * 22 + " FROM projects",
        "SELECT " + "ARRAY[" * 22 + "1" + "]" * 22,
        "SELECT " + "/*" * 4_000,
        "WITH c0 AS (SELECT 1 AS x), "
        + ", ".join(f"c{i} AS (SELECT a.*, b.* FROM c{i - 1} a, c{i - 1} b)" for i in range(1, 15))
        + " SELECT * FROM c14",
        "SELECT 'x" + "y" * 20_000 + "'",
    ],
    ids=lambda sql: sql[:30],
)
def test_what_would_exhaust_a_parser_is_refused(sql: str) -> None:
    assert rejected(sql).first.rule in {"nesting", "size", "length", "tokens", "syntax"}


@pytest.mark.parametrize(
    ("sql", "ordered"),
    [
        ("SELECT name FROM projects ORDER BY id", True),
        ("SELECT name FROM projects", False),
        ("SELECT name FROM (SELECT name FROM projects ORDER BY id) AS p", False),
        ("SELECT row_number() OVER (ORDER BY id) FROM projects", False),
        ("SELECT name FROM projects UNION SELECT name FROM vendors ORDER BY 1", True),
        ("SELECT name FROM projects ORDER BY id FETCH FIRST 3 ROWS WITH TIES", False),
    ],
)
def test_whether_the_order_of_the_rows_is_part_of_the_statement(sql: str, ordered: bool) -> None:
    verdict = accepted(sql)
    assert verdict.ordered is ordered
