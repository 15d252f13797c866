import pytest

from deployments.prompt_builder.instruction.relevance import Vocabulary
from serve_app.contracts import Column, ForeignKey, SchemaSnapshot, Table
from tests.prompt_cases import EMPTY_PACK, NOW, PACK, SAMPLE_SCHEMA


@pytest.mark.parametrize(
    ("question", "tables"),
    [
        ("total spend on permits", {"expenses", "projects"}),
        ("which subs are rated under 3", {"vendors"}),
        ("how many man hours did the electricians log", {"labor"}),
        ("value of rebar shipments by supplier", {"materials", "vendors"}),
        ("cash inflow of each job", {"cashflow", "projects"}),
        ("blueprints in draft", {"documents"}),
        ("net cash per company", {"cashflow", "projects", "organizations"}),
    ],
)
def test_needed_tables_hold_what_the_words_speak_of(question: str, tables: set[str]) -> None:
    order, needed = Vocabulary(SAMPLE_SCHEMA, PACK).by_usefulness(question)
    assert tables <= set(order[:needed])
    assert sorted(order) == sorted(table.name for table in SAMPLE_SCHEMA.tables)


def test_a_question_that_names_nothing_needs_all_tables() -> None:
    order, needed = Vocabulary(SAMPLE_SCHEMA, EMPTY_PACK).by_usefulness("qwertz")
    assert needed == len(order) == len(SAMPLE_SCHEMA.tables)


def make_table(name: str, *references: str) -> Table:
    keys = [
        ForeignKey(columns=(f"{r}_id",), referenced_table=r, referenced_columns=("id",)) for r in references
    ]
    columns = [
        Column(name=n, type="integer", nullable=False) for n in ("id", *(f"{r}_id" for r in references))
    ]
    return Table(name=name, columns=tuple(columns), foreign_keys=tuple(keys))


def make_schema(*tables: Table) -> SchemaSnapshot:
    return SchemaSnapshot(tables=tables, fingerprint="f", taken_at=NOW)


def test_a_bridge_between_two_named_tables_is_needed() -> None:
    schema = make_schema(
        make_table("student"),
        make_table("course"),
        make_table("enrolment", "student", "course"),
        make_table("xyzzy"),
    )
    order, needed = Vocabulary(schema, EMPTY_PACK).by_usefulness("students of a course")
    assert "enrolment" in order[:needed]
    assert "xyzzy" not in order[:needed]


def test_parents_any_number_of_steps_away_are_needed() -> None:
    schema = make_schema(make_table("aa"), make_table("bb", "aa"), make_table("cc", "bb"), make_table("dd"))
    order, needed = Vocabulary(schema, EMPTY_PACK).by_usefulness("every cc")
    assert set(order[:needed]) == {"cc", "bb", "aa"}


def test_tables_that_reference_each_other_or_what_is_hidden_end() -> None:
    schema = make_schema(make_table("aa", "bb"), make_table("bb", "aa", "hidden"))
    order, needed = Vocabulary(schema, EMPTY_PACK).by_usefulness("aa and bb")
    assert set(order[:needed]) == {"aa", "bb"}
