import pytest

from deployments.prompt_builder.domain import Derived
from deployments.prompt_builder.instruction.terminology import Terminology, sql_like
from tests.prompt_cases import PACK, SAMPLE_SCHEMA


@pytest.mark.parametrize(
    ("expression", "sql"),
    [
        ("sum(expenses.amount)", "sum(expenses.amount)"),
        (
            "(sum(cashflow.amount if direction = 'inflow') - 1)",
            "(sum(cashflow.amount) FILTER (WHERE direction = 'inflow') - 1)",
        ),
        ("planned_end_date < today", "planned_end_date < CURRENT_DATE"),
        ("weekday(work_date) in (6, 7)", "EXTRACT(ISODOW FROM work_date) in (6, 7)"),
    ],
)
def test_expressions_read_like_sql(expression: str, sql: str) -> None:
    assert sql_like(expression) == sql


def test_a_said_word_is_tied_to_its_stored_value() -> None:
    lines = Terminology(PACK, SAMPLE_SCHEMA).lines("What did the gear cost?")
    assert "\"gear\" means expenses.category = 'equipment'" in lines
    assert not any("'subcontractor'" in line for line in lines)


def test_a_formula_brings_the_formulas_it_is_made_of() -> None:
    lines = Terminology(PACK, SAMPLE_SCHEMA).lines("budget variance per job")
    actual = next(i for i, line in enumerate(lines) if "= sum(expenses.amount)" in line)
    variance = next(i for i, line in enumerate(lines) if "= (budget - actual)" in line)
    assert actual < variance


def test_circular_formulas_end() -> None:
    loop = tuple(
        Derived(table="projects", name=name, kind="value", expression=f"({other} + 1)", terms=(name,))
        for name, other in (("ying", "yang"), ("yang", "ying"))
    )
    pack = PACK.model_copy(update={"derived": loop})
    lines = Terminology(pack, SAMPLE_SCHEMA).lines("what is ying")
    assert sum("+ 1" in line for line in lines) == 2


def test_words_of_tables_that_are_not_there_are_not_told() -> None:
    some = SAMPLE_SCHEMA.model_copy(update={"tables": SAMPLE_SCHEMA.tables[:2]})
    lines = Terminology(PACK, some).lines("gear and shifts")
    assert not any(line.startswith(("labor:", "expenses:")) or "expenses.category" in line for line in lines)


def test_notes_and_nouns_always_stand() -> None:
    lines = Terminology(PACK, SAMPLE_SCHEMA).lines("anything", tables=("projects",))
    assert set(PACK.notes) <= set(lines)
    assert [line for line in lines if line.startswith("projects: ")]
    assert not [line for line in lines if line.startswith("labor: ")]
