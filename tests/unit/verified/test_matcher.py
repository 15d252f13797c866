"""Questions that have the shape of a verified one, and those that only look like it."""

from datetime import date
from typing import Any

import pytest

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.house.memory import load_meaning
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.verified.matcher import NEAR_CONFIDENCE, VerifiedMatcher
from serve_app.contracts import SchemaSnapshot

TODAY = date(2026, 11, 20)
COST = "What did the Granite Hotel cost in 2025?"
COST_SQL = (
    "SELECT sum(e.amount) AS cost FROM expenses e JOIN projects p ON p.id = e.project_id "
    "WHERE p.name = 'Granite Hotel' AND e.date >= DATE '2025-01-01' AND e.date < DATE '2026-01-01'"
)
COST_SPEC = "expenses show sum(amount) where projects.name = V0 and date in D0"


@pytest.fixture(scope="session")
def context(schema: SchemaSnapshot, pack: DomainPack) -> SpecContext:
    return SpecContext(schema, pack)


def pair(question: str = COST, sql: str = COST_SQL, **fields: Any) -> Example:
    return Example(question=question, sql=sql, kind="test", **{"id": question, **fields})


@pytest.fixture
def match(linker: Linker, context: SpecContext) -> Any:
    def over(*examples: Example, **how: Any) -> Any:
        matcher = VerifiedMatcher(examples, linker, context, TODAY)
        return lambda question, today=TODAY: matcher.match(question, today, **how)

    return over


def test_the_questions_own_values_fill_the_statement(match: Any) -> None:
    found = match(pair())("what did the red rocks pavilion cost in 2024")
    assert found.confidence == 1.0
    assert found.source == COST
    assert "p.name = 'Red Rocks Pavilion'" in found.candidate.sql
    assert "'2024-01-01'" in found.candidate.sql
    assert "Granite" not in found.candidate.sql
    assert found.candidate.query_spec is None


@pytest.mark.parametrize(
    "question",
    [
        "Could you please tell me: what did the Red Rocks Pavilion cost in 2024?",
        "What did Red Rocks Pavilion cost last year",
        "hi, what did our Red Rocks Pavilion cost over 2024, please?",
    ],
)
def test_courtesy_and_grammar_change_nothing(match: Any, question: str) -> None:
    found = match(pair())(question.replace("tell me: ", ""))
    assert "p.name = 'Red Rocks Pavilion'" in found.candidate.sql
    assert found.confidence == NEAR_CONFIDENCE


@pytest.mark.parametrize(
    "question",
    [
        "What did the Red Rocks Pavilion cost?",
        "What did the Red Rocks Pavilion not cost in 2024?",
        "What did the Red Rocks Pavilion cost since 2024?",
        "What did the Red Rocks Pavilion cost in 2024 without permits?",
        "What did the Red Rocks Pavilion and the Granite Hotel cost in 2024?",
        "What did Brightwire Electric cost in 2024?",
        "What did the zzyzx cost in 2024?",
        "",
        "<V0> <projects.name>",
    ],
)
def test_another_shape_is_no_match(match: Any, question: str) -> None:
    assert match(pair())(question) is None


def test_the_likeliest_column_of_a_name_is_what_is_asked(match: Any) -> None:
    sql = "SELECT sum(quantity) FROM materials WHERE name = 'rebar'"
    found = match(pair("How much rebar came in?", sql))
    # "drywall" is a material first, and part of a vendor's name as well.
    assert found("How much drywall came in?").candidate.sql.endswith("name = 'drywall'")
    assert found("How much Bexar Drywall came in?") is None


def test_a_less_sure_name_lowers_the_confidence(match: Any) -> None:
    found = match(pair())("What did the Riverside cost in 2025?")
    assert "'Riverside Apartments'" in found.candidate.sql
    assert 0.5 < found.confidence < 1.0


def test_only_word_by_word_where_that_is_asked_for(match: Any) -> None:
    near, exact = "What did Red Rocks Pavilion cost in 2024", "What did the Red Rocks Pavilion cost in 2024"
    assert match(pair(), exact_only=True)(near) is None
    assert match(pair(), exact_only=True)(exact).confidence == 1.0


def test_the_same_question_gets_its_own_statement(match: Any) -> None:
    # Its window without an end gives no template, but to the very same question it is the answer.
    open_ended = "SELECT sum(amount) FROM expenses WHERE date >= date_trunc('year', CURRENT_DATE)"
    found = match(pair("What was spent this year?", open_ended))
    assert found("what was spent this year").candidate.sql == open_ended
    assert found("what was spent last year") is None


def test_what_was_right_on_the_day_is_not_right_on_another(match: Any) -> None:
    sql = "SELECT sum(amount) FROM expenses WHERE date >= '2026-01-01'"
    asked = match(pair("What was spent this year to date?", sql, asked_on=TODAY))
    assert asked("What was spent this year to date?", date(2027, 2, 1)) is None


def test_absolute_dates_of_a_relative_question_become_relative(match: Any) -> None:
    sql = "SELECT sum(amount) FROM expenses WHERE date >= '2026-09-01' AND date < '2026-10-01'"
    found = match(pair("What was spent last month?", sql, asked_on=date(2026, 10, 5)))
    again = found("What was spent last month?", date(2027, 2, 1))
    assert "2026" not in again.candidate.sql
    assert "CURRENT_DATE" in again.candidate.sql


def test_the_newer_of_two_pairs_counts_even_where_it_cannot_be_filled(match: Any) -> None:
    older = pair("Bills over 10 dollars", "SELECT amount FROM expenses WHERE amount > 10", id="older")
    newer = pair("Bills over 10 dollars", "SELECT amount FROM expenses WHERE amount >= 10", id="newer")
    unfillable = pair("Bills over 10 dollars", "SELECT amount FROM expenses WHERE amount > 9.99", id="odd")
    assert match(newer, older)("Bills over 20 dollars").source == "newer"
    assert match(unfillable, older)("Bills over 20 dollars") is None


def test_a_pair_of_one_organization_is_not_for_another(linker: Linker, context: SpecContext) -> None:
    matcher = VerifiedMatcher([pair(organization_id="north")], linker, context, TODAY)
    assert matcher.match(COST, TODAY, "north") is not None
    assert matcher.match(COST, TODAY, "south") is None
    assert matcher.match(COST, TODAY) is None


def test_a_pair_that_the_schema_cannot_carry_is_left_out(match: Any) -> None:
    assert match(pair(sql="SELECT cost FROM hotels WHERE name = 'Granite Hotel'"))(COST) is None


def test_a_specification_is_compiled_with_the_questions_values(
    match: Any, linker: Linker, context: SpecContext
) -> None:
    found = match(pair(query_spec=COST_SPEC))("What did the Red Rocks Pavilion cost last year?")
    meaning = load_meaning(found.candidate.query_spec, context)
    assert meaning is not None
    assert found.candidate.sql == compile_spec(meaning.spec, meaning.links, context)
    assert "'Red Rocks Pavilion'" in found.candidate.sql


def test_a_specification_as_conversations_keep_it(match: Any) -> None:
    kept = match(pair(query_spec=COST_SPEC))(COST).candidate.query_spec
    found = match(pair(query_spec=kept))("What did the Red Rocks Pavilion cost in 2024?")
    assert "'Red Rocks Pavilion'" in found.candidate.sql
    assert found.candidate.query_spec is not None


@pytest.mark.parametrize(
    "spec",
    [
        "expenses show sum(amount) where projects.name = V0",
        "expenses show sum(amount) where projects.name = V0 and date in D0 and amount > N0",
        "nowhere show x",
        "cannot",
        "{}",
        '{"spec": "expenses show sum(amount)", "links": []}',
    ],
)
def test_a_specification_that_does_not_fit_its_question_is_passed_over(match: Any, spec: str) -> None:
    found = match(pair(query_spec=spec))("What did the Red Rocks Pavilion cost in 2024?")
    assert found.candidate.query_spec is None
    assert "'Red Rocks Pavilion'" in found.candidate.sql
