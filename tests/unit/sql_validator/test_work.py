"""What a statement may do in one row: how long its values are taken to be, and what may meet them."""

import pytest

from serve_app.contracts import ValidSql
from tests.sql_cases import validator

# Put together from rows, by each way that makes values long.
LONG_TEXTS = (
    "(SELECT string_agg(name, '') AS s FROM projects)",
    "(SELECT array_agg(id)::text AS s FROM projects)",
    "(SELECT ARRAY(SELECT id FROM projects)::text AS s)",
    "(SELECT jsonb_agg(name)::text AS s FROM projects)",
    "(SELECT coalesce(nullif(upper(string_agg(name, '')), ''), 'a') AS s FROM projects)",
    "(SELECT CASE WHEN true THEN string_agg(name, '') ELSE 'a' END AS s FROM projects)",
    "(SELECT s FROM (SELECT string_agg(name, '') FROM projects) q(s))",
    "(SELECT (SELECT string_agg(name, '') FROM projects) AS s)",
    "(SELECT 'a' AS s UNION SELECT string_agg(name, '') FROM projects)",
    "(VALUES ('a'), ((SELECT string_agg(name, '') FROM projects))) AS v(s)",
    "(WITH RECURSIVE r(s) AS (SELECT 'a' UNION ALL SELECT s || s FROM r WHERE length(s) < 99999) "
    "SELECT s FROM r)",
    "(SELECT s FROM (SELECT string_agg(name, '') AS s FROM projects) l "
    "JOIN (SELECT string_agg(city, '') AS s FROM projects) m USING (s))",
    "(SELECT t AS s FROM (SELECT string_agg(name, '') AS n FROM projects) x, string_to_table(x.n, ',') AS t)",
    "(SELECT max(n) AS s FROM (SELECT string_agg(name, '') AS n FROM projects) x)",
    "(SELECT (array_agg(name))[1] AS s FROM projects)",
    "(SELECT CAST('a' AS char(9000000)) AS s)",
)


def reason(sql: str) -> str | None:
    """Why the rule refuses a statement; None if it is accepted."""
    verdict = validator().validate(sql, "default")
    if isinstance(verdict, ValidSql):
        return None
    assert verdict.first.rule == "size", verdict
    return verdict.first.reason


@pytest.mark.parametrize("source", LONG_TEXTS)
def test_long_values_are_followed_to_where_they_are_searched(source: str) -> None:
    alias = "" if source.endswith("v(s)") else " AS q"
    assert "strpos" in (reason(f"SELECT strpos(s, s) FROM {source}{alias}") or "")
    assert reason(f"SELECT strpos(s, 'concrete') FROM {source}{alias}") is None


@pytest.mark.parametrize(
    "search",
    [
        "strpos(s, name)",
        "position(name IN s)",
        "replace(s, name, '')",
        "split_part(s, name, 1)",
        "string_to_array(s, name)",
        "translate(s, name, '')",
        "trim(both name from s)",
        "ltrim(s, name)",
        "rtrim(s, name)",
        "s LIKE name",
        "s NOT ILIKE name",
        "name LIKE ANY (string_to_array(s, ','))",
        "string_to_array(s, ',') && string_to_array(s, ';')",
        "string_to_array(s, ',') @> string_to_array(s, ';')",
        "s::jsonb <@ s::jsonb",
        "s::jsonb ?| string_to_array(s, ',')",
        "s::jsonb - string_to_array(s, ',')",
        "s::numeric % (s::numeric / 7)",
    ],
)
def test_each_way_of_searching_in_a_long_value_needs_something_short(search: str) -> None:
    source = "(SELECT string_agg(name, ',') AS s FROM projects) q, vendors"
    assert reason(f"SELECT {search} FROM {source}")


@pytest.mark.parametrize(
    "name", ["lower(description)", "description || vendor_id", "concat(description, date)"]
)
def test_values_of_columns_may_meet_each_other(name: str) -> None:
    assert reason(f"SELECT strpos({name}, {name}), {name} LIKE '%' || {name} || '%' FROM expenses") is None


def test_a_recursion_that_makes_nothing_longer_stays_short() -> None:
    recursion = (
        "WITH RECURSIVE r(n, s) AS "
        "(SELECT 1, name FROM projects UNION ALL SELECT n + 1, {} FROM r WHERE n < 9)"
    )
    search = " SELECT strpos(s, s) FROM r"
    assert reason(recursion.format("left(s, n)") + search) is None
    assert reason(recursion.format("s || s") + search)


def test_many_passes_over_a_long_value_are_refused_together() -> None:
    def passes(count: int) -> str:
        columns = ", ".join(f"length(s) AS n{place}" for place in range(count))
        return f"SELECT {columns} FROM (SELECT string_agg(name, '') AS s FROM projects) q"

    assert reason(passes(20)) is None
    assert "too many calls" in (reason(passes(60)) or "")


def test_the_place_and_the_words_are_for_the_model_and_the_user() -> None:
    sql = "SELECT strpos(s, s) FROM (SELECT string_agg(name, '') AS s FROM projects) q"
    verdict = validator().validate(sql, "default")
    assert not isinstance(verdict, ValidSql)
    assert verdict.first.position == sql.index("strpos")
    assert "short literal" in verdict.first.reason
    assert (
        verdict.first.message == "That query would keep the database busy for too long. Ask for less at once."
    )


def test_a_policy_that_extends_another_has_its_lists_too() -> None:
    policies = validator().policies
    assert policies.policy("restricted").sizes == policies.policy("base").sizes


def test_every_name_in_the_lists_is_one_that_the_policy_allows() -> None:
    policy = validator().policies.policy("base")
    allowed = {*policy.functions, *policy.set_returning_functions, *policy.operators}
    for kind in type(policy.sizes).model_fields:
        assert getattr(policy.sizes, kind) <= allowed, kind
