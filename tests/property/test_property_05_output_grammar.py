"""Property 05 before any check: what a model can write under its grammar parses and names what exists."""

from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from deployments.prompt_builder.instruction.sql_grammar import COMMON_OUTPUTS, sql_grammar
from deployments.prompt_builder.instruction.wording import CANNOT_ANSWER
from deployments.prompt_builder.query_spec.nodes import Cannot, QuerySpec
from deployments.prompt_builder.query_spec.token_grammar import TokenGrammar
from deployments.prompt_builder.query_spec.tokens import decode, vocabulary
from deployments.sql_validator.grammar import Source, parse
from serve_app.contracts import SchemaSnapshot
from tests.grammar_walks import Grammars, plain_grammars
from tests.prompt_cases import EXAMPLES, SAMPLE_SCHEMA, schemas
from tests.unit.query_spec.spec_strategies import all_links, sample_context

pytestmark = pytest.mark.property

MOST_TOKENS = 300
BEGINNINGS = ("", "SELECT ", "SELECT name FROM projects WHERE ", "WITH t AS (SELECT ")
WORDS = {alias.alias for e in EXAMPLES for alias in parse_one(e.sql, read="postgres").find_all(exp.Alias)}


@cache
def sample_grammar() -> str:
    return sql_grammar(SAMPLE_SCHEMA, (example.sql for example in EXAMPLES))


def assert_names_exist(tree: exp.Expression, schema: SchemaSnapshot, words: set[str]) -> None:
    """Tables are the schema's or defined; columns too, but for those of subqueries, which are words."""
    tables = {table.name: {column.name for column in table.columns} for table in schema.tables}
    columns = set().union(*tables.values())
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    assert {table.name for table in tree.find_all(exp.Table)} <= tables.keys() | ctes
    for column in tree.find_all(exp.Column):
        select = column.parent_select
        assert select is not None
        sources = [select.args["from_"].this, *(join.this for join in select.args.get("joins") or ())]
        derived = any(isinstance(source, exp.Subquery) or source.name in ctes for source in sources)
        named = {part.alias for part in select.expressions if isinstance(part, exp.Alias)}
        assert column.name in columns | named | (words if derived else set())
        owner = next((s.name for s in sources if column.table and s.alias_or_name == column.table), None)
        if owner in tables and not derived:
            assert column.name in tables[owner]


def assert_good_sql(text: str, schema: SchemaSnapshot, words: set[str]) -> None:
    statement = text.strip()
    if statement.startswith(CANNOT_ANSWER):
        return
    parsed, _ = parse(Source(statement))
    assert [s.stmt.WhichOneof("node") for s in parsed.stmts] == ["select_stmt"]
    assert_names_exist(parse_one(statement, read="postgres"), schema, words)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), beginning=st.sampled_from(BEGINNINGS))
def test_sql_under_the_grammar_parses_and_names_what_exists(seed: int, beginning: str) -> None:
    text = plain_grammars().walk(sample_grammar(), Random(seed), MOST_TOKENS, beginning)
    if text is not None:
        assert_good_sql(text, SAMPLE_SCHEMA, WORDS | set(COMMON_OUTPUTS))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=schemas(most_tables=4), seed=st.integers(0, 2**32))
def test_so_it_does_over_any_schema(schema: SchemaSnapshot, seed: int) -> None:
    text = plain_grammars().walk(sql_grammar(schema), Random(seed), 300, "SELECT ")
    if text is not None:
        assert_good_sql(text, schema, set(COMMON_OUTPUTS))


@cache
def token_grammars() -> Grammars:
    return Grammars(vocabulary(sample_context()))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), links=st.integers(0, 12))
def test_tokens_under_the_grammar_are_a_specification(seed: int, links: int) -> None:
    context = sample_context()
    given_links = tuple(Random(seed).sample(all_links(context), links))
    text = token_grammars().walk(TokenGrammar(context).of(given_links), Random(seed), 120)
    if text is None:
        return
    meaning = decode(text, context)
    assert isinstance(meaning, QuerySpec | Cannot)
    known = {link.placeholder for link in given_links}
    assert all(word in known for word in _placeholders(text))


def _placeholders(text: str) -> set[str]:
    return {word for word in text.strip("<>").split("><") if word[0] in "NVD" and word[1:].isdigit()}
