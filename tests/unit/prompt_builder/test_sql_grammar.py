"""The grammar of an instruction model's SQL: it takes what analysts ask, and no name that does not exist."""

import pytest

from deployments.prompt_builder.instruction.sql_grammar import sql_grammar
from deployments.prompt_builder.instruction.wording import CANNOT_ANSWER
from serve_app.contracts import CannotAnswer, Column, SchemaSnapshot, SqlCandidate, Table
from tests.grammar_walks import plain_grammars
from tests.prompt_cases import EXAMPLES, NOW, SAMPLE_SCHEMA, make_context, make_profile, make_question
from tests.sql_cases import attack_items

GRAMMAR = sql_grammar(SAMPLE_SCHEMA, (example.sql for example in EXAMPLES))
# What a grammar cannot tell: whose column it is in a SELECT, which columns a subquery has, and a character in
# a literal that lexers read differently (F0132).
LEFT_TO_THE_VALIDATOR = {"R0649", "R0650", "F0132", "F0351", "F0353"}
ATTACKS = [
    item
    for item in attack_items("must_reject")
    # A restricted policy grants less than the login role sees; a lone surrogate is no text of a model. Whose
    # column it is, and which characters a literal may hold, is left to the validator.
    if item["policy"] == "default"
    and item["id"] not in LEFT_TO_THE_VALIDATOR
    and not any("\ud800" <= letter <= "\udfff" for letter in item["sql"])
]


def takes(text: str, grammar: str = GRAMMAR) -> bool:
    return plain_grammars().takes(grammar, text)


def snapshot(*tables: Table) -> SchemaSnapshot:
    return SchemaSnapshot(tables=tables, fingerprint="f", taken_at=NOW)


def table(name: str, *columns: str) -> Table:
    return Table(name=name, columns=tuple(Column(name=c, type="text", nullable=True) for c in columns))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_every_example_of_the_pack_is_taken(example: object) -> None:
    assert takes(example.sql)  # type: ignore[attr-defined]
    assert takes(f" {example.sql};")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM projects\n    WHERE status = 'active'\n    ORDER BY name;",
        "select count(*) from projects",
        "SELECT p.name, COUNT(e.id) AS count FROM projects AS p LEFT JOIN expenses e ON e.project_id = p.id "
        "GROUP BY p.name HAVING COUNT(e.id) > 3 ORDER BY count DESC NULLS LAST LIMIT 5",
        "SELECT CASE WHEN amount > 9 THEN 'a' ELSE 'b' END AS value, sum(id) FROM expenses GROUP BY value",
        "SELECT EXTRACT(YEAR FROM date) AS year, CAST(sum(amount) AS date) AS total FROM expenses",
        "SELECT name FROM projects UNION ALL SELECT name FROM vendors ORDER BY 1 LIMIT 10",
        "SELECT name FROM projects WHERE budget > (SELECT avg(budget) FROM projects)",
        "SELECT name FROM vendors WHERE id NOT IN (SELECT vendor_id FROM expenses)",
        "SELECT amount FROM expenses WHERE date >= CURRENT_DATE - INTERVAL '3 months' AND NOT (amount < 5)",
        "WITH t AS (SELECT project_id, sum(amount) AS total FROM expenses GROUP BY project_id) "
        "SELECT avg(t.total) FROM t",
    ],
)
def test_select_statements_are_taken(sql: str) -> None:
    assert takes(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT salary FROM labor",
        "SELECT name FROM employees",
        "SELECT p.amount FROM projects p",
        "SELECT projects.hours FROM projects",
        "SELECT name FROM pg_catalog.pg_tables",
        "SELECT name FROM projects ORDER BY total",
        "SELECT name FROM t",
        "SELECT total FROM expenses",
        "SELECT name FROM projects ORDER BY name UNION SELECT name FROM vendors",
        "SELECT name AS total FROM projects UNION SELECT name FROM vendors ORDER BY total",
        "WITH t AS (SELECT name FROM projects) SELECT name FROM totals",
        "SELECT name FROM projects WHERE name IN (SELECT city AS total FROM vendors) ORDER BY total",
        "SELECT pg_sleep(10)",
        "SELECT pg_sleep(10) FROM projects",
        "SELECT name FROM projects; DROP TABLE projects",
        "SELECT name FROM projects -- all of them",
        "SELECT name /* all */ FROM projects",
        "DELETE FROM projects",
        "UPDATE projects SET name = 'x'",
        "SELECT name INTO copy FROM projects",
        "SELECT name FROM projects FOR UPDATE",
        "\u017felect name FROM projects",
        "SELECT name FROM projects WHERE name = 'it''s' OR name = 'a\\'",
        "Here is the query: SELECT name FROM projects",
        "```sql\nSELECT name FROM projects\n```",
        "",
    ],
)
def test_other_texts_are_not(sql: str) -> None:
    assert not takes(sql)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda item: item["id"])
def test_attacks_cannot_be_written(attack: dict[str, str]) -> None:
    assert not takes(attack["sql"])


async def test_a_model_may_say_that_it_cannot_answer() -> None:
    refusal = f"{CANNOT_ANSWER} there is no table about the weather"
    assert takes(refusal)
    assert not takes(f"{CANNOT_ANSWER} SELECT 1\nSELECT name FROM projects")
    profile = make_profile(grammar=True)
    prompt = await profile.build(make_question("weather tomorrow?"), make_context(), SAMPLE_SCHEMA, None)
    meaning = await profile.interpret(prompt, refusal, SAMPLE_SCHEMA)  # type: ignore[arg-type]
    assert isinstance(meaning, CannotAnswer)
    assert meaning.reason == "out_of_scope"


async def test_a_prompt_carries_the_grammar_of_its_own_schema() -> None:
    held, free = make_profile(grammar=True), make_profile()
    other = snapshot(table("wells", "depth"))
    for profile, schema, has in (
        (held, SAMPLE_SCHEMA, True),
        (held, other, True),
        (free, SAMPLE_SCHEMA, False),
    ):
        prompt = await profile.build(make_question("how many?"), make_context(), schema, None)
        assert (prompt.grammar is not None) == has  # type: ignore[union-attr]
        if has:
            assert takes("SELECT depth FROM wells", prompt.grammar) == (schema is other)  # type: ignore[union-attr]
    assert isinstance(await held.interpret(prompt, "SELECT 1", SAMPLE_SCHEMA), SqlCandidate)  # type: ignore[arg-type]


def test_names_that_need_quotes_have_them() -> None:
    schema = snapshot(table("Order", "select", 'odd "name"', "plain"), table("order items", "no"))
    grammar = sql_grammar(schema)
    assert takes('SELECT "odd ""name""", plain FROM "Order" WHERE "select" = \'x\'', grammar)
    assert takes('SELECT "order items".no FROM "order items"', grammar)
    assert not takes("SELECT select FROM Order", grammar)


def test_over_nothing_there_is_only_the_refusal() -> None:
    grammar = sql_grammar(snapshot())
    assert takes(f"{CANNOT_ANSWER} there are no tables", grammar)
    assert not takes("SELECT 1", grammar)


def test_a_large_schema_is_held_to_as_well() -> None:
    tables = [table(f"table_{n}", *(f"column_{n}_{k}" for k in range(20))) for n in range(200)]
    grammar = sql_grammar(snapshot(*tables))
    assert takes("SELECT table_7.column_7_3 FROM table_7 JOIN table_8 ON column_7_1 = column_8_1", grammar)
    assert not takes("SELECT table_7.column_8_3 FROM table_7", grammar)
