"""What specifications mean, on a real server, beside statements written by hand."""

import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from deployments.executor.embedded import EmbeddedDatabase
from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import CompileError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.shape import identified
from serve_app.contracts import Candidate, DateRange, Link, ValidSql
from serve_app.evaluation.scoring import Rows, equal_rows, normalised
from tests.sql_cases import validator
from tests.unit.query_spec.spec_strategies import all_links, sample_context, specs

CONTEXT = sample_context()
DATA = Path(__file__).parents[2] / "data" / "query_spec"
CASES = [json.loads(line) for line in (DATA / "compiled.jsonl").read_text(encoding="utf-8").splitlines()]


def value(placeholder: str, table: str, column: str, text: str) -> Link:
    candidate = Candidate(table=table, column=column, value=text, score=1.0)
    return Link(placeholder=placeholder, span=(0, 1), text=text, candidates=(candidate,))


def number(placeholder: str, text: str) -> Link:
    return Link(placeholder=placeholder, span=(0, 1), text=text, number=text)


def dates(placeholder: str, start: str | None, end: str | None) -> Link:
    return Link(placeholder=placeholder, span=(0, 1), text="x", dates=DateRange(start_sql=start, end_sql=end))


LINKS = (
    value("V0", "vendors", "city", "Austin"),
    value("V1", "materials", "name", "concrete"),
    Link(placeholder="V2", span=(0, 1), text="_o%"),
    number("N0", "5"),
    dates("D0", "DATE '2026-01-01'", "DATE '2026-04-01'"),
)


def sql_of(text: str, *links: Link) -> str:
    spec = parse(text, CONTEXT)
    assert isinstance(spec, QuerySpec)
    return compile_spec(spec, links or LINKS, CONTEXT)


async def rows(connection: asyncpg.Connection, sql: str) -> Rows:
    statement = await connection.prepare(sql)
    records = await statement.fetch()
    return normalised(len(statement.get_attributes()), [tuple(record) for record in records])


@pytest.mark.postgres
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
async def test_rows_equal_those_of_a_statement_by_hand(
    case: dict[str, Any], sample_database: EmbeddedDatabase
) -> None:
    spec = parse(case["spec"], CONTEXT)
    assert isinstance(spec, QuerySpec)
    short = canonical(spec, CONTEXT)
    assert isinstance(short, QuerySpec)
    connection = await asyncpg.connect(sample_database.dsn)
    try:
        expected = await rows(connection, case["sql"])
        for form in (spec, short):
            sql = compile_spec(form, LINKS, CONTEXT)
            assert equal_rows(await rows(connection, sql), expected, case["ordered"], case["sql"]), sql
    finally:
        await connection.close()


@pytest.mark.postgres
async def test_whatever_compiles_is_valid_and_allowed(sample_database: EmbeddedDatabase) -> None:
    connection = await asyncpg.connect(sample_database.dsn)
    links = all_links(CONTEXT)
    found: list[str] = []

    @settings(
        max_examples=150,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(specs)
    def collect(spec: QuerySpec) -> None:
        try:
            found.append(compile_spec(spec, links, CONTEXT))
        except CompileError as error:
            found.append(f"refused: {error}")

    collect()
    try:
        for sql in found:
            if not sql.startswith("refused: "):
                await connection.prepare(sql)
                assert isinstance(validator().validate(sql, "default"), ValidSql), sql
            else:
                assert "needs an order" in sql
    finally:
        await connection.close()
    assert len(found) >= 100


def test_one_table_needs_no_prefixes() -> None:
    assert sql_of("vendors show city, count() where vendor_type = 'consultant' and count() > N0") == (
        "SELECT city, COUNT(*) AS vendor_count\n"
        "FROM vendors\n"
        "WHERE vendor_type = 'consultant'\n"
        "GROUP BY city\n"
        "HAVING COUNT(*) > 5\n"
        "ORDER BY city"
    )


def test_weekly_groups_begin_when_the_pack_says() -> None:
    spec = parse("labor show week(work_date), sum(hours)", CONTEXT)
    assert isinstance(spec, QuerySpec)
    domain = CONTEXT.domain.model_copy(update={"week_starts_on": "sunday"})
    american = compile_spec(spec, LINKS, SpecContext(CONTEXT.schema, domain))
    assert "DATE_TRUNC('week', work_date)::date" in compile_spec(spec, LINKS, CONTEXT)
    assert "DATE_TRUNC('week', work_date + INTERVAL '1 day')::date - 1" in american


def test_names_of_a_label_stay_apart_and_limits_have_a_stable_order() -> None:
    assert sql_of("expenses show vendors.name sort sum(amount) desc limit N0") == (
        "SELECT vendors.name AS vendor_name, SUM(expenses.amount) AS total_amount\n"
        "FROM expenses\n"
        "JOIN vendors ON vendors.id = expenses.vendor_id\n"
        "GROUP BY vendors.id, vendors.name\n"
        "ORDER BY total_amount DESC, vendors.name\n"
        "LIMIT 5"
    )


def test_text_is_escaped() -> None:
    sql = sql_of("vendors show rating where name = V0", value("V0", "vendors", "name", "O'Neil \\ Sons"))
    assert "name = 'O''Neil \\ Sons'" in sql
    assert r"name ILIKE '%\_o\%%'" in sql_of("projects where name contains V2")
    assert r"name ILIKE '\_o\%%'" in sql_of("projects where name starts V2")


def test_what_several_names_share_is_searched_for_as_said() -> None:
    one = value("V0", "vendors", "name", "Alamo Steel").model_copy(update={"text": "alamo stel"})
    assert "ILIKE '%Alamo Steel%'" in sql_of("vendors where name contains V0", one)
    other = Candidate(table="vendors", column="name", value="Front Range Steel", score=0.8)
    both = one.model_copy(update={"text": "steel", "candidates": (*one.candidates, other)})
    assert "ILIKE '%steel%'" in sql_of("vendors where name contains V0", both)


@pytest.mark.parametrize(
    ("spec", "links", "says"),
    [
        ("vendors where name = V0", LINKS, "V0 is a value of vendors.city, not of vendors.name"),
        ("vendors where name = V7", LINKS, "no link fills V7"),
        ("vendors where rating > N0", (number("N0", "1; DROP"),), "N0 is no number: '1; DROP'"),
        ("vendors show name limit N0", (number("N0", "2.5"),), "a limit of 2.5"),
        ("expenses where date in D0", (dates("D0", None, None),), "D0 holds no dates"),
        ("expenses show running(sum(amount))", LINKS, "running needs an order: a date in show, or sort"),
        ("vendors show distinct city sort rating", LINKS, "sorted by something that it does not show"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(spec: str, links: tuple[Link, ...], says: str) -> None:
    with pytest.raises(CompileError, match=re.escape(says)):
        sql_of(spec, *links)


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("labor show hours where hours > 10", "hours, work_date, worker_name, projects.name"),
        ("labor show hours where worker_name = V0", "hours, work_date, projects.name"),
        ("projects show budget where name = V0", "budget"),
        ("projects show client_name, budget", "client_name, budget, name"),
        ("labor show distinct worker_name", "worker_name"),
        ("labor show trade, sum(hours)", "trade, sum(hours)"),
    ],
)
def test_rows_are_told_apart(spec: str, shown: str) -> None:
    parsed = parse(spec, CONTEXT)
    assert isinstance(parsed, QuerySpec)
    table = spec.split()[0]
    wanted = parse(f"{table} show {shown}", CONTEXT)
    assert isinstance(wanted, QuerySpec)
    assert identified(parsed, CONTEXT).show == wanted.show
