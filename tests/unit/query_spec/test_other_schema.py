"""Nothing depends on the sample schema: odd names, keys of two columns, a table that refers to itself."""

from datetime import UTC, datetime

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.prompt_builder.domain import ColumnTerms, Derived, DomainPack, TableTerms
from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.derived import check_derived
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.printer import to_text
from deployments.prompt_builder.query_spec.tokens import decode, encode
from serve_app.contracts import Column, ForeignKey, SchemaSnapshot, Table

TABLES = """
CREATE TEMP TABLE "order" (region text, id int, "select" text NOT NULL, parent_id int, sum numeric,
    PRIMARY KEY (region, id));
CREATE TEMP TABLE "Line Item" (id int PRIMARY KEY, order_region text, order_id int,
    "Unit Price" numeric NOT NULL, limit_on date, kind text);
INSERT INTO "order" VALUES ('n', 1, 'first', NULL, 10), ('n', 2, 'second', 1, 20), ('s', 1, 'first', NULL, 5);
INSERT INTO "Line Item" VALUES (1, 'n', 1, 3, '2026-01-05', 'it''s'), (2, 'n', 1, 4, '2026-02-05', '<b>'),
    (3, 's', 1, 7, '2026-02-06', '<b>'), (4, NULL, NULL, 9, NULL, '<b>');
"""


def column(name: str, kind: str, nullable: bool = True, values: tuple[str, ...] = ()) -> Column:
    return Column(name=name, type=kind, nullable=nullable, sample_values=values, values_complete=bool(values))


def make_context(*derived: Derived) -> SpecContext:
    order = Table(
        name="order",
        columns=(
            column("region", "text", False),
            column("id", "integer", False),
            column("select", "text", False),
            column("parent_id", "integer"),
            column("sum", "numeric"),
        ),
        primary_key=("region", "id"),
        foreign_keys=(
            ForeignKey(
                columns=("region", "parent_id"), referenced_table="order", referenced_columns=("region", "id")
            ),
        ),
    )
    item = Table(
        name="Line Item",
        columns=(
            column("id", "integer", False),
            column("order_region", "text"),
            column("order_id", "integer"),
            column("Unit Price", "numeric", False),
            column("limit_on", "date"),
            column("kind", "text", True, ("it's", "<b>")),
        ),
        primary_key=("id",),
        foreign_keys=(
            ForeignKey(
                columns=("order_region", "order_id"),
                referenced_table="order",
                referenced_columns=("region", "id"),
            ),
        ),
    )
    pack = DomainPack(
        name="odd",
        description="Odd names",
        tables={
            "order": TableTerms(terms=("order",), display=("select",), label="select", columns={}),
            "Line Item": TableTerms(
                terms=("line",),
                display=("Unit Price", "order.select"),
                date="limit_on",
                columns={"kind": ColumnTerms(role="lookup")},
            ),
        },
        derived=derived,
    )
    schema = SchemaSnapshot(
        tables=(order, item), fingerprint="odd", taken_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return SpecContext(schema, pack)


def value(name: str, expression: str) -> Derived:
    return Derived(table="order", name=name, kind="value", expression=expression, terms=(name,))


CONTEXT = make_context(value("worth", 'sum("Line Item"."Unit Price")'))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Line Item"', [(3, "first"), (4, "first"), (7, "first"), (9, None)]),
        ('"Line Item" show "order"."select", sum("Unit Price")', [("first", 7), ("first", 7)]),
        ('"order" show "select", worth where worth > 0', [("first", 7), ("first", 7)]),
        ('"order" show "select" where no("Line Item")', [("second",)]),
        ("\"Line Item\" show count() where kind = 'it''s'", [(1,)]),
        ("\"Line Item\" show kind, count() where kind = '<b>'", [("<b>", 3)]),
        ('"Line Item" show month(limit_on), running(sum("Unit Price")) where limit_on is not null',
         ["2026-01-01 3", "2026-02-01 14"]),
        ('"order" show sum("sum"), max("sum")', [(35, 20)]),
    ],
)  # fmt: skip
async def test_odd_names_are_read_written_and_run(
    text: str, expected: list[object], sample_database: EmbeddedDatabase
) -> None:
    spec = parse(text, CONTEXT)
    assert isinstance(spec, QuerySpec)
    assert parse(to_text(spec), CONTEXT) == spec
    assert decode(encode(spec, CONTEXT), CONTEXT) == canonical(spec, CONTEXT)
    connection = await asyncpg.connect(sample_database.admin_dsn)
    try:
        await connection.execute(TABLES)
        rows = [tuple(row) for row in await connection.fetch(compile_spec(spec, (), CONTEXT))]
    finally:
        await connection.close()
    plain = [" ".join(map(str, row)) if isinstance(expected[0], str) else row for row in rows]
    assert sorted(plain, key=str) == sorted(expected, key=str)


def test_a_derived_name_defined_by_itself_is_refused() -> None:
    with pytest.raises(SpecError, match="is defined by itself"):
        check_derived(make_context(value("a", "(b + 1)"), value("b", "(a + 1)")))


def test_a_table_without_display_columns_shows_them_all() -> None:
    context = SpecContext(CONTEXT.schema, DomainPack(name="none", description="Nothing known", tables={}))
    spec = parse('"order"', context)
    assert isinstance(spec, QuerySpec)
    assert compile_spec(spec, (), context) == 'SELECT region, id, "select", parent_id, sum\nFROM "order"'
