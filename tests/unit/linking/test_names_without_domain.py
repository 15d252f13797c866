"""The linker over another schema: nothing in it belongs to one trade."""

from datetime import UTC, date, datetime

from deployments.prompt_builder.domain import ColumnTerms, DomainPack, TableTerms
from deployments.prompt_builder.linking.linker import Linker
from serve_app.contracts import Column, SchemaSnapshot, Table

TODAY = date(2026, 11, 20)


def make_linker() -> Linker:
    columns = (
        Column(
            name="name",
            type="text",
            nullable=False,
            sample_values=("Ada Lovelace", "Grace Hopper", "Alan Kay"),
        ),
        Column(name="badge", type="text", nullable=True, sample_values=("EMP/0001", "EMP/0002", "EMP/0077")),
    )
    table = Table(name="staff", columns=columns, primary_key=("name",))
    terms = TableTerms(
        terms=("employee",),
        display=("name",),
        columns={
            "name": ColumnTerms(role="name", terms=("name",)),
            "badge": ColumnTerms(role="name", terms=("badge",)),
        },
    )
    pack = DomainPack(name="office", description="People and badges", tables={"staff": terms})
    return Linker(
        SchemaSnapshot(tables=(table,), fingerprint="f", taken_at=datetime(2026, 1, 1, tzinfo=UTC)), pack
    )


def test_names_and_codes_come_from_the_schema() -> None:
    linked = make_linker().link("is Hoper or ada using badge emp-77", TODAY)
    values = [link.candidates[0].value for link in linked.links]
    assert values == ["Grace Hopper", "Ada Lovelace", "EMP/0077"]
    assert linked.text == "is <V0> <staff.name> or <V1> <staff.name> using badge <V2> <staff.badge>"


def test_nothing_of_another_trade_is_known() -> None:
    assert make_linker().link("concrete for the granite hotel", TODAY).links == ()
