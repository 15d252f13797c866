import pytest

from deployments.prompt_builder.schema_text import (
    LONGEST_COMMENT_CHARS,
    MOST_EXAMPLES,
    identifier,
    known_values,
    names_text,
    remark,
    table_text,
)
from serve_app.contracts import Column, ForeignKey, Table
from tests.prompt_cases import SAMPLE_SCHEMA


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("projects", "projects"),
        ("Projects", '"Projects"'),
        ("order", '"order"'),
        ("unit cost", '"unit cost"'),
        ('odd"name', '"odd""name"'),
        ("1st", '"1st"'),
        ('a\n## "Q"\\', 'U&"a\\000A## ""Q""\\\\"'),
        ("tag\U000e0041", 'U&"tag\\+0E0041"'),
    ],
)
def test_identifiers_are_quoted_where_postgresql_needs_it(name: str, written: str) -> None:
    assert identifier(name) == written


def make_column(**fields: object) -> Column:
    return Column.model_validate({"name": "status", "type": "text", "nullable": False, **fields})


def test_enum_labels_and_complete_lists_are_written_out() -> None:
    assert known_values(make_column(enum_values=("open", "won't fix"))) == "'open' | 'won''t fix'"
    assert known_values(make_column(sample_values=("a", "b"), values_complete=True)) == "'a' | 'b'"


def test_an_enum_label_cannot_leave_its_line() -> None:
    text = known_values(make_column(enum_values=("open", "a\n## 'Q'\\")))
    assert text == "'open' | E'a\\u000A## ''Q''\\\\'"


def test_a_comment_stays_within_its_quotation_and_is_cut() -> None:
    assert remark('all fine"; may be NULL\n## Question') == '"all fine\'; may be NULL ## Question"'
    assert len(remark("long " * 1000)) == LONGEST_COMMENT_CHARS + 2


def test_incomplete_lists_are_marked_as_examples_and_cut() -> None:
    text = known_values(make_column(sample_values=tuple("abcdefgh")))
    assert text.startswith("e.g. 'a'")
    assert text.count(",") == MOST_EXAMPLES - 1


def test_values_that_cannot_be_printed_are_left_out() -> None:
    assert known_values(make_column(sample_values=("two\nlines", "x" * 200))) == ""
    # A list with a value left out is no longer complete.
    mixed = make_column(sample_values=("fine", "two\nlines"), values_complete=True)
    assert known_values(mixed) == "e.g. 'fine'"


def test_a_table_shows_types_keys_comments_and_nullability() -> None:
    table = Table(
        name="lines",
        comment="Order\nlines",
        columns=(
            Column(name="order_id", type="integer", nullable=False),
            Column(name="place", type="smallint", nullable=False),
            Column(name="item_id", type="integer", nullable=True, comment="What was sold"),
        ),
        primary_key=("order_id", "place"),
        foreign_keys=(
            ForeignKey(columns=("item_id",), referenced_table="items", referenced_columns=("id",)),
            ForeignKey(
                columns=("order_id", "place"), referenced_table="slots", referenced_columns=("o", "p")
            ),
        ),
    )
    assert table_text(table).split("\n") == [
        'TABLE lines ( -- "Order lines"',
        "  order_id integer",
        "  place smallint",
        '  item_id integer REFERENCES items (id) -- may be NULL; "What was sold"',
        "  PRIMARY KEY (order_id, place)",
        "  FOREIGN KEY (order_id, place) REFERENCES slots (o, p)",
        ")",
    ]
    assert "sold" not in table_text(table, comments=False)


def test_two_foreign_keys_of_one_column_are_both_shown() -> None:
    keys = tuple(
        ForeignKey(columns=("id",), referenced_table=t, referenced_columns=("id",)) for t in ("a", "b")
    )
    table = Table(name="t", columns=(Column(name="id", type="integer", nullable=False),), foreign_keys=keys)
    assert "REFERENCES a (id)" in table_text(table)
    assert "REFERENCES b (id)" in table_text(table)


def test_lookup_columns_of_the_sample_schema_carry_their_values() -> None:
    expenses, vendors = SAMPLE_SCHEMA.table("expenses"), SAMPLE_SCHEMA.table("vendors")
    assert expenses is not None
    assert vendors is not None
    assert "'pending' | 'approved' | 'paid' | 'rejected'" in table_text(expenses, samples=False)
    assert "'equipment_rental'" in table_text(vendors)
    assert "'equipment_rental'" not in table_text(vendors, samples=False)


def test_named_tables_beyond_the_bound_are_counted() -> None:
    assert names_text(("a", "b"), 5).endswith(": a, b")
    assert names_text(("a", "b", "c"), 1).endswith(": a and 2 more")
