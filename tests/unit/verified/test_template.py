"""Templates of verified statements: which constants become slots, and when there is no template."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.retrieval import load_examples
from deployments.prompt_builder.verified.template import make_template
from deployments.prompt_builder.verified.writing import read_statement, without_cap, written
from deployments.sql_validator.grammar import Source, parse, same_tree
from serve_app.contracts import SchemaSnapshot
from tests.sql_cases import validator

ROOT = Path(__file__).parents[3]
TODAY = date(2026, 11, 20)
CASES = [json.loads(line) for line in (ROOT / "tests/data/verified/templates.jsonl").read_text().splitlines()]
EXAMPLES = load_examples(ROOT / "configs/domains/construction/examples.jsonl")


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_other_values_fill_the_statement(
    case: dict[str, Any], linker: Linker, schema: SchemaSnapshot
) -> None:
    links = linker.link(case["question"], TODAY).links
    template = make_template(case["sql"], links, schema, TODAY)
    filled = template.fill(linker.link(case["other"], TODAY).links) if template else None
    assert filled == case["filled"]
    assert filled is None or validator().validate(filled, "default").accepted


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.question[:30])
def test_an_example_filled_with_its_own_values_is_itself(
    example: Any, linker: Linker, schema: SchemaSnapshot
) -> None:
    links = linker.link(example.question, TODAY).links
    template = make_template(example.sql, links, schema, TODAY)
    if template is None:
        assert links, "a question without values is a template as it is"
        return
    filled = template.fill(links)
    assert filled is not None
    assert validator().validate(filled, "default").accepted
    if all(link.dates is None for link in links):
        assert same_tree(parse(Source(filled))[1], parse(Source(example.sql))[1])


def test_most_of_the_packs_examples_are_templates(linker: Linker, schema: SchemaSnapshot) -> None:
    made = [
        make_template(example.sql, linker.link(example.question, TODAY).links, schema, TODAY)
        for example in EXAMPLES
    ]
    assert sum(template is not None for template in made) >= 45


@pytest.mark.parametrize("sql", ["DELETE FROM t", "SELECT 'a", "SELECT 1; SELECT 2", ""])
def test_what_is_no_statement_is_not_read(sql: str) -> None:
    assert read_statement(sql) is None


def test_what_would_be_written_otherwise_is_not_read() -> None:
    # NOT x IN (…) and x NOT IN (…) are one tree to sqlglot and two to PostgreSQL.
    sql = "SELECT amount FROM expenses WHERE NOT category IN ('labor')"
    assert read_statement(sql) is None


@pytest.mark.parametrize(
    ("sql", "cap", "kept"),
    [
        ("SELECT a FROM t LIMIT 10001", 10001, "SELECT a FROM t"),
        ("SELECT a FROM t LIMIT 10", 10001, "SELECT a FROM t LIMIT 10"),
        ("SELECT a FROM t LIMIT 10001", None, "SELECT a FROM t LIMIT 10001"),
        ("SELECT a FROM (SELECT a FROM t LIMIT 9) AS s", 9, "SELECT a FROM (SELECT a FROM t LIMIT 9) AS s"),
        ("no statement", 9, "no statement"),
    ],
)
def test_the_validators_cap_is_no_part_of_a_pair(sql: str, cap: int | None, kept: str) -> None:
    assert without_cap(sql, cap) == kept


def test_writing_keeps_the_units_that_postgresql_reads_as_text() -> None:
    sql = "SELECT date_trunc('month', date) FROM expenses WHERE date > CURRENT_DATE - INTERVAL '2 months'"
    tree = read_statement(sql)
    assert tree is not None
    assert "'month'" in written(tree)
