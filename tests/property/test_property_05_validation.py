"""Property 05: accepted SQL parses, names only existing tables and columns, and is one harmless SELECT."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.sql_validator.grammar import Source, children, parse
from serve_app.contracts import ValidSql
from tests.fuzz.grammar import Grammar
from tests.fuzz.mutations import mutate
from tests.sql_cases import QueryMaker, attack_items, validator

pytestmark = pytest.mark.property

POLICIES = st.sampled_from(["default", "restricted"])
HARMFUL_KINDS = {
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "IntoClause",
    "LockingClause",
    "ParamRef",
    "RangeTableSample",
}


def messages(root: Any) -> list[Any]:
    found, pending = [], [root]
    while pending:
        found.append(pending.pop())
        pending.extend(children(found[-1]))
    return found


def assert_harmless(verdict: ValidSql, policy: str) -> None:
    """Everything Property 05 promises, read off the tree of the text that would run."""
    tree, _ = parse(Source(verdict.sql))
    assert [s.stmt.WhichOneof("node") for s in tree.stmts] == ["select_stmt"]
    nodes = messages(tree)
    assert not {type(n).__name__ for n in nodes} & HARMFUL_KINDS
    rights = validator().policies.rights(policy, None)
    ctes = {n.ctename for n in nodes if type(n).__name__ == "CommonTableExpr"}
    tables = [n for n in nodes if type(n).__name__ == "RangeVar"]
    assert all(t.relname in rights.tables or (t.relname in ctes and not t.schemaname) for t in tables)
    assert all(t.schemaname in ("", "public") for t in tables)
    # Aliases, names of select lists and functions are what else a reference may name.
    given_names = {n.name for n in nodes if type(n).__name__ == "ResTarget"}
    given_names |= {n.aliasname for n in nodes if type(n).__name__ == "Alias"}
    given_names |= {n.sval for n in nodes if type(n).__name__ == "String"} - {
        n.fields[-1].string.sval for n in nodes if type(n).__name__ == "ColumnRef"
    }
    columns = {c for t in rights.tables.values() for c in t.allowed} | {"column1", "column2", "value", "key"}
    computed = {"max", "count", "coalesce", "text", "case", "row_number", "jsonb_agg", "row", "array"}
    computed |= {"generate_series", "unnest"}
    for node in nodes:
        if type(node).__name__ == "ColumnRef" and node.fields[-1].WhichOneof("node") == "string":
            assert node.fields[-1].string.sval in columns | given_names | computed
    assert validator().validate(verdict.sql, policy).sql == verdict.sql  # type: ignore[union-attr]


@given(seed=st.integers(0, 2**64), depth=st.integers(0, 3), policy=POLICIES)
@settings(max_examples=1_500, deadline=None)
def test_random_queries_that_pass_are_harmless(seed: int, depth: int, policy: str) -> None:
    verdict = validator().validate(QueryMaker(Random(seed), depth).query(), policy)
    if isinstance(verdict, ValidSql):
        assert_harmless(verdict, policy)
    else:
        assert verdict.first.rule != "internal"


ALL_ITEMS = [i for i in attack_items("must_accept") + attack_items("must_reject") if len(i["sql"]) < 1_000]
# Statements of the corpus changed as the fuzzer changes them: token splices, comments, blanks, look-alikes,
# other forms of literals, other names, nesting.
MUTATIONS = st.builds(
    lambda random, one, other: mutate(random, one["sql"], other["sql"]),
    st.randoms(use_true_random=False),
    st.sampled_from(ALL_ITEMS),
    st.sampled_from(ALL_ITEMS),
)
GENERATED = st.integers(0, 2**64).map(lambda seed: Grammar(Random(seed), danger=0.1).statement())


@given(sql=MUTATIONS | GENERATED | st.text(max_size=200), policy=POLICIES)
@settings(max_examples=1_500, deadline=None)
def test_mutated_statements_that_pass_are_harmless(sql: str, policy: str) -> None:
    verdict = validator().validate(sql, policy)
    if isinstance(verdict, ValidSql):
        tree, _ = parse(Source(verdict.sql))
        assert not {type(n).__name__ for n in messages(tree)} & HARMFUL_KINDS
        rights = validator().policies.rights(policy, None)
        assert set(verdict.tables) <= set(rights.tables)
        assert validator().validate(verdict.sql, policy).sql == verdict.sql  # type: ignore[union-attr]
    else:
        assert verdict.first.rule != "internal"


DESTRUCTIVE = st.sampled_from(
    [
        "DELETE FROM expenses",
        "DELETE FROM expenses RETURNING *",
        "UPDATE projects SET budget = 0",
        "UPDATE projects SET budget = 0 RETURNING id",
        "INSERT INTO organizations VALUES (99, 'x') RETURNING id",
        "MERGE INTO projects p USING vendors v ON p.id = v.id WHEN MATCHED THEN DELETE",
        "DROP TABLE projects",
        "TRUNCATE projects CASCADE",
        "ALTER TABLE projects DROP COLUMN name",
        "CREATE TABLE x AS SELECT 1",
        "GRANT ALL ON projects TO PUBLIC",
        "COPY projects TO PROGRAM 'cat'",
        "DO 'BEGIN END'",
        "CALL wipe()",
        "SET ROLE postgres",
        "LOCK TABLE projects",
        "SELECT * INTO x FROM projects",
        "SELECT id FROM projects FOR UPDATE",
        "SELECT pg_sleep(10)",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT nextval('invoice_seq')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT password_hash FROM app_users",
        "SELECT * FROM pg_catalog.pg_authid",
    ]
)
WRAPPINGS = st.sampled_from(
    [
        "{0}",
        "{0};",
        "/* report */ {0} -- end",
        "SELECT 1; {0}",
        "{0}; SELECT 1",
        "WITH d AS ({0}) SELECT * FROM d",
        "WITH d AS MATERIALIZED ({0}), p AS (SELECT * FROM projects) SELECT p.name FROM p",
        "WITH RECURSIVE d AS (SELECT 1 UNION ALL ({0})) SELECT 1",
        "SELECT * FROM ({0}) AS x",
        "SELECT ({0})",
        "SELECT 1 WHERE EXISTS ({0})",
        "SELECT name FROM projects UNION ALL ({0})",
        "SELECT name FROM projects, LATERAL ({0}) AS x",
        "SELECT name FROM projects LIMIT ({0})",
        "SELECT name FROM projects ORDER BY ({0})",
        "SELECT ARRAY({0})",
        "EXPLAIN ANALYZE {0}",
        "PREPARE p AS {0}",
        "SELECT ';' ; {0}",
        "SELECT '--' ;\n{0} --'",
        "SELECT COALESCE(name, ({0})::text) FROM projects",
        "SELECT sum(budget) FILTER (WHERE id IN ({0})) OVER () FROM projects",
        "(({0}))",
        "BEGIN; {0}; COMMIT",
    ]
)


def random_case(text: str, seed: int) -> str:
    rng = Random(seed)
    return "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)


@given(
    inner=DESTRUCTIVE, first=WRAPPINGS, second=WRAPPINGS, seed=st.none() | st.integers(0, 99), policy=POLICIES
)
@settings(max_examples=1_000, deadline=None)
def test_destructive_statements_are_rejected_however_wrapped(
    inner: str, first: str, second: str, seed: int | None, policy: str
) -> None:
    sql = second.format(first.format(inner))
    verdict = validator().validate(sql if seed is None else random_case(sql, seed), policy)
    assert not verdict.accepted
    assert verdict.first.rule != "internal"
