"""What stands out in a drafted table, what suggests itself, and the text of a draft."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.drafting.draft import Draft, draft_pack
from deployments.prompt_builder.drafting.render import render_domain, write_draft
from deployments.prompt_builder.pack_check import check_pack
from deployments.prompt_builder.pack_check.view import PackView
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.derived import check_derived
from deployments.prompt_builder.retrieval import load_examples
from deployments.prompt_builder.synthesis.schema_file import load_schema
from serve_app.contracts import Column, ColumnStatistics, ForeignKey, SchemaSnapshot, Table


def column(name: str, kind: str = "text", nullable: bool = False, *values: str) -> Column:
    return Column(name=name, type=kind, nullable=nullable, sample_values=values, values_complete=bool(values))


def table(name: str, *columns: Column, to: dict[str, str] | None = None, rows: int = 100) -> Table:
    """``to``: foreign key column -> table."""
    keys = tuple(
        ForeignKey(columns=(c,), referenced_table=t, referenced_columns=("id",))
        for c, t in (to or {}).items()
    )
    id_column = column("id", "integer")
    return Table(
        name=name, columns=(id_column, *columns), primary_key=("id",), foreign_keys=keys, row_estimate=rows
    )


def schema_of(*tables: Table) -> SchemaSnapshot:
    return SchemaSnapshot(tables=tables, fingerprint="f", taken_at=datetime(2026, 1, 1, tzinfo=UTC))


SHOP = schema_of(
    table("customers", column("full_name"), column("phone", "text", False, "555-0199")),
    table(
        "orders",
        column("customer_id", "integer"),
        column("created_at", "timestamp with time zone"),
        column("ordered_on", "date"),
        column("due_on", "date"),
        column("delivered_on", "date", True),
        column("discount", "numeric"),
        column("total", "numeric"),
        to={"customer_id": "customers"},
    ),
    table(
        "order_items",
        column("order_id", "integer"),
        column("item", "text", False, *(f"Item {n}" for n in range(5))),
        column("quantity", "integer"),
        column("unit_price", "numeric"),
        to={"order_id": "orders"},
        rows=5000,
    ),
    table("schema_migrations", column("version")),
)


def draft_shop() -> Draft:
    return draft_pack(SHOP, {}, "shop")


def test_the_date_is_the_one_always_filled_and_not_a_deadline_or_a_book_keeping_one() -> None:
    assert draft_shop().pack.tables["orders"].date == "ordered_on"


def test_the_measure_is_the_amount_and_not_the_discount() -> None:
    assert draft_shop().pack.tables["orders"].measure == "total"


def test_rows_are_named_by_texts_that_tell_them_apart() -> None:
    tables = draft_shop().pack.tables

    assert tables["customers"].label == "full_name"
    assert tables["order_items"].label is None
    assert tables["orders"].display[-1] == "customers.full_name"


def test_statistics_decide_where_no_values_are_known() -> None:
    authors = schema_of(table("authors", column("name"), column("motto"), rows=1000))
    few = {("authors", "name"): ColumnStatistics(distinct=3)}

    assert draft_pack(authors, {}, "a").pack.tables["authors"].label == "name"
    assert draft_pack(authors, few, "a").pack.tables["authors"].label is None


def test_tables_of_tools_are_left_out_and_named() -> None:
    draft = draft_shop()

    assert "schema_migrations" not in draft.pack.tables
    assert "schema_migrations was left out" in render_domain(draft)


def test_suggestions_are_read_and_stay_comments() -> None:
    draft = draft_shop()
    expressions = {(s.derived.table, s.derived.expression) for s in draft.suggestions}

    assert expressions == {
        ("order_items", "(quantity * unit_price)"),
        ("orders", "(delivered_on - ordered_on)"),
        ("orders", "due_on < today and delivered_on is null"),
        ("customers", "sum(orders.total)"),
    }
    assert draft.pack.derived == ()
    check_derived(
        SpecContext(
            SHOP, draft.pack.model_copy(update={"derived": tuple(s.derived for s in draft.suggestions)})
        )
    )


def test_comments_taken_away_give_the_suggestions() -> None:
    draft = draft_shop()
    lines = render_domain(draft).splitlines()
    uncommented = "\n".join(line.replace("  # - ", "  - ", 1) for line in lines)

    found = DomainPack.model_validate(yaml.safe_load(uncommented))

    assert found.derived == tuple(s.derived for s in draft.suggestions)


def test_what_is_written_reads_back_without_private_texts(tmp_path: Path) -> None:
    draft = draft_shop()
    write_draft(draft, tmp_path)
    schema = load_schema(tmp_path)
    items, customers = schema.table("order_items"), schema.table("customers")

    assert load_domain(tmp_path) == draft.pack
    assert load_examples(tmp_path / "examples.jsonl")
    assert items is not None
    assert customers is not None
    assert items.columns[2].sample_values == tuple(f"Item {n}" for n in range(5))
    assert "555-0199" not in (tmp_path / "schema.json").read_text(encoding="utf-8")


# A pack writes a parent's column with a dot, so a column with a dot in its name cannot stand in `display`.
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters=".")
NAMES = st.text(CHARACTERS, min_size=1, max_size=12)
TYPES = st.sampled_from(
    [
        "integer",
        "numeric(10,2)",
        "text",
        "date",
        "timestamp with time zone",
        "boolean",
        "jsonb",
        "uuid",
        "text[]",
    ]
)


@st.composite
def schemas(draw: st.DrawFn) -> SchemaSnapshot:
    """Any names and types, some columns with values, keys to the first table."""
    tables: list[Table] = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        columns = tuple(
            column(c, draw(TYPES), draw(st.booleans()), *draw(st.lists(NAMES, max_size=3, unique=True)))
            for c in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
        )
        keys = tuple(
            ForeignKey(
                columns=(columns[0].name,),
                referenced_table=first.name,
                referenced_columns=(first.columns[0].name,),
            )
            for first in tables[:1]
        )
        rows = draw(st.integers(0, 100))
        tables.append(Table(name=name, columns=columns, foreign_keys=keys, row_estimate=rows))
    return schema_of(*tables)


@settings(max_examples=150, deadline=None)
@example(schema_of(Table(name="s", columns=(column("s", "text", False),))))
@example(schema_of(Table(name=" ", columns=(column(" ", "date", False),))))
@given(schemas())
def test_any_schema_gives_a_pack_that_reads_back_and_has_no_errors(schema: SchemaSnapshot) -> None:
    draft = draft_pack(schema, {}, "any")
    text = render_domain(draft)

    assert DomainPack.model_validate(yaml.safe_load(text)) == draft.pack
    found = check_pack(PackView(Path("/nonexistent"), draft.pack, schema))
    assert [f.line() for f in found if f.severity == "error"] == []
    check_derived(
        SpecContext(
            schema, draft.pack.model_copy(update={"derived": tuple(s.derived for s in draft.suggestions)})
        )
    )


@pytest.mark.parametrize("name", ["order", "Größe", "a:b", "#x", "yes", "123", "- x"])
def test_names_that_yaml_would_misread_are_quoted(name: str) -> None:
    draft = draft_pack(schema_of(Table(name=name, columns=(column(name),))), {}, "odd")

    assert list(DomainPack.model_validate(yaml.safe_load(render_domain(draft))).tables) == [name]
