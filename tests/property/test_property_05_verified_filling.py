"""Property 05 for verified statements: whatever fills their slots, constants change and stay constants."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.linking.calendar import Moment, Period
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.verified.template import make_template
from deployments.sql_validator.grammar import Source, parse
from serve_app.contracts import Candidate, DateRange, SchemaSnapshot
from tests.sql_cases import validator

pytestmark = pytest.mark.property

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 20)
SCHEMA = SchemaSnapshot.model_validate_json((ROOT / "tests/data/linking/schema.json").read_text("utf-8"))
QUESTION = "Bills over 50k on the Granite Hotel in 2025"
SQL = (
    "SELECT e.amount FROM expenses e JOIN projects p ON p.id = e.project_id WHERE p.name = 'Granite Hotel' "
    "AND e.amount > 50000 AND e.date >= '2025-01-01' AND e.date < '2026-01-01' AND e.category <> 'labor'"
)
LINKS = Linker(SCHEMA, load_domain(ROOT / "configs/domains/construction")).link(QUESTION, TODAY).links
TEMPLATE = make_template(SQL, LINKS, SCHEMA, TODAY)
HOSTILE = (
    "O'Brien'; DROP TABLE projects; --",
    "' OR 1=1 --",
    "\\'; SELECT pg_sleep(9) --",
    "$$; --",
    "'' UNION SELECT worker_name FROM labor --",
    "E'\\x27'",
    "/* */",
    "{{V0}} $1 :name %s ?",
)
# PostgreSQL has no text with NUL in it, and no encoding half a surrogate pair.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=80)
names = st.sampled_from(HOSTILE) | texts
numbers = st.decimals(min_value=-(10**12), max_value=10**12, places=3, allow_nan=False, allow_infinity=False)
days = st.dates(date(1990, 1, 1), date(2090, 1, 1))


def filled_with(name: str, number: str, dates: DateRange) -> str | None:
    changes: dict[str, dict[str, object]] = {
        "V": {"candidates": (Candidate(table="projects", column="name", value=name, score=1.0),)},
        "N": {"number": number},
        "D": {"dates": dates},
    }
    assert TEMPLATE is not None
    return TEMPLATE.fill([link.model_copy(update=changes[link.placeholder[0]]) for link in LINKS])


@settings(max_examples=300, deadline=None)  # the first call reads the policies
@given(names, numbers, days, days)
def test_property_05_only_the_constants_change(name: str, number: Decimal, start: date, end: date) -> None:
    dates = Period(Moment(absolute=start), Moment(absolute=end)).to_range()
    sql = filled_with(name, f"{number:f}", dates)
    assert sql is not None
    tree, original = (sqlglot.parse_one(text, read="postgres") for text in (sql, SQL))
    literals = [node.name for node in tree.find_all(exp.Literal)]
    said = {name, f"{abs(number):f}", start.isoformat(), end.isoformat(), "labor"}
    assert set(literals) == said
    assert len(literals) == 5
    assert [column.sql() for column in tree.find_all(exp.Column)] == [
        column.sql() for column in original.find_all(exp.Column)
    ]
    # PostgreSQL's own grammar reads the same one statement with the name as one constant.
    statements = parse(Source(sql))[0].stmts
    assert [statement.stmt.WhichOneof("node") for statement in statements] == ["select_stmt"]
    verdict = validator().validate(sql, "default")
    assert verdict.accepted or not name.isprintable()


@settings(max_examples=200, deadline=None)
@given(
    texts | st.sampled_from(HOSTILE), texts | st.sampled_from(("1; --", "1 OR true", "0x1F", "1e9", "--1"))
)
def test_property_05_what_is_no_date_or_number_fills_nothing(bound: str, number: str) -> None:
    dates = DateRange(start_sql=bound, end_sql="CURRENT_DATE")
    assert filled_with("Granite Hotel", "1", dates) is None
    is_number = number.isascii() and number.removeprefix("-").replace(".", "", 1).isdigit()
    if not is_number:
        year = DateRange(start_sql="DATE '2025-01-01'", end_sql="DATE '2026-01-01'")
        assert filled_with("Granite Hotel", number, year) is None
