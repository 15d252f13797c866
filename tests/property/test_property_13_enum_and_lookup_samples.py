"""Property 13: Enum columns and lookup columns carry their values, in the snapshot that prompts are made of.

The tables are made in the embedded database, with any labels and values, and read back from its catalogs.
"""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.executor.config import IntrospectionConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.introspection import read_schema
from serve_app.contracts import SchemaSnapshot

pytestmark = [pytest.mark.property, pytest.mark.postgres]

# PostgreSQL text cannot hold NUL; an enum label holds at most 63 bytes.
characters = st.characters(exclude_characters="\x00", exclude_categories=("Cs",))
words = st.text(characters, min_size=1, max_size=15)
Session = tuple[asyncio.Runner, "asyncpg.Connection[asyncpg.Record]"]
CONFIG = IntrospectionConfig(schema_name="lookups", small_table_rows=50, statistics_value_cap=200)


@pytest.fixture(scope="module")
def session(sample_database: EmbeddedDatabase) -> Iterator[Session]:
    with asyncio.Runner() as runner:
        admin = runner.run(asyncpg.connect(sample_database.admin_dsn))
        yield runner, admin
        runner.run(admin.close())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    labels=st.lists(words, min_size=1, max_size=12, unique=True),
    values=st.lists(words, min_size=1, max_size=20, unique=True),
    repeats=st.integers(1, 10),
)
def test_property_13_enum_and_lookup_samples(
    session: Session, labels: list[str], values: list[str], repeats: int
) -> None:
    """Property 13: every label in its order and every stored value, of small tables and of big ones."""
    runner, admin = session
    snapshot = runner.run(snapshot_of(admin, labels, [value for value in values for _ in range(repeats)]))
    table = snapshot.table("things")
    assert table is not None
    by_name = {column.name: column for column in table.columns}
    assert by_name["mood"].enum_values == tuple(labels)
    assert set(by_name["kind"].sample_values) == set(values)
    assert by_name["kind"].values_complete


async def snapshot_of(
    admin: "asyncpg.Connection[asyncpg.Record]", labels: list[str], rows: list[str]
) -> SchemaSnapshot:
    transaction = admin.transaction()
    await transaction.start()
    try:
        await make_tables(admin, labels, rows)
        return await read_schema(admin, CONFIG)  # type: ignore[arg-type]
    finally:
        await transaction.rollback()


async def make_tables(
    admin: "asyncpg.Connection[asyncpg.Record]", labels: list[str], rows: list[str]
) -> None:
    quoted = ", ".join("'" + label.replace("'", "''") + "'" for label in labels)
    await admin.execute("CREATE SCHEMA lookups; SET LOCAL standard_conforming_strings = on")
    await admin.execute(f"CREATE TYPE lookups.mood AS ENUM ({quoted})")
    await admin.execute("CREATE TABLE lookups.things (id serial, mood lookups.mood, kind text)")
    await admin.execute("INSERT INTO lookups.things (kind) SELECT unnest($1::text[])", rows)
    await admin.execute("ANALYZE lookups.things")
