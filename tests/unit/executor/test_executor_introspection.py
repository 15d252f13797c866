"""The schema as the reader sees it, on the sample database and on tables made for the purpose."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from deployments.executor.config import ExecutorConfig, IntrospectionConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from deployments.executor.introspection import listed_values
from serve_app.contracts import ForeignKey, SchemaSnapshot

pytestmark = pytest.mark.postgres

PROBE_SCHEMA = """
DROP SCHEMA IF EXISTS probe CASCADE;
CREATE SCHEMA probe;
CREATE TYPE probe.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN probe.word AS text NOT NULL;
CREATE TABLE probe.parent (a int, b text, secret text, PRIMARY KEY (a, b));
CREATE TABLE probe.child (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b text, mood probe.mood, kind probe.word,
    code varchar(8), "Odd ""Name" char(3), gone int, FOREIGN KEY (a, b) REFERENCES probe.parent
);
ALTER TABLE probe.child DROP COLUMN gone;
CREATE TABLE probe.hidden (id int PRIMARY KEY);
CREATE TABLE probe.pointing (id int PRIMARY KEY, hidden_id int REFERENCES probe.hidden, label text);
CREATE TABLE probe.split (id int, region text) PARTITION BY LIST (region);
CREATE TABLE probe.split_north PARTITION OF probe.split FOR VALUES IN ('north');
CREATE TABLE probe.split_south PARTITION OF probe.split FOR VALUES IN ('south');
CREATE VIEW probe.seen AS SELECT a, b FROM probe.parent;
CREATE TABLE probe.unanalysed (label text);
CREATE TABLE probe.big AS
    SELECT n AS id, 'kind ' || n % 7 AS kind, 'name ' || n AS name FROM generate_series(1, 8000) n;
COMMENT ON TABLE probe.child IS 'Children';
COMMENT ON COLUMN probe.child.mood IS 'How they feel';
INSERT INTO probe.parent SELECT n, 'b' || n, 'classified' FROM generate_series(1, 3) n;
INSERT INTO probe.child (a, b, mood, kind, code)
    SELECT 1, 'b1', 'ok', CASE WHEN n % 3 = 0 THEN 'rare' ELSE 'usual' END, repeat('x', n % 8)
    FROM generate_series(1, 30) n;
INSERT INTO probe.split
    SELECT n, CASE WHEN n % 4 = 0 THEN 'south' ELSE 'north' END FROM generate_series(1, 40) n;
INSERT INTO probe.unanalysed VALUES ('new');
ANALYZE probe.parent; ANALYZE probe.child; ANALYZE probe.split; ANALYZE probe.big;
GRANT USAGE ON SCHEMA probe TO plumbline_reader;
GRANT SELECT (a, b) ON probe.parent TO plumbline_reader;
GRANT SELECT ON probe.child, probe.pointing, probe.split, probe.seen, probe.unanalysed, probe.big
    TO plumbline_reader;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def probe(sample_database: EmbeddedDatabase) -> AsyncIterator[SchemaSnapshot]:
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute(PROBE_SCHEMA)
    yield await read(sample_database, IntrospectionConfig(schema_name="probe"))
    await admin.execute("DROP SCHEMA probe CASCADE")
    await admin.close()


async def read(database: EmbeddedDatabase, config: IntrospectionConfig) -> SchemaSnapshot:
    executor = SqlExecutor(database.dsn, ExecutorConfig(introspection=config))
    try:
        return await executor.schema()
    finally:
        await executor.close()


def column(snapshot: SchemaSnapshot, table: str, name: str):  # type: ignore[no-untyped-def]
    found = snapshot.table(table)
    assert found is not None
    return found.column(name)


async def test_sample_schema(executor: SqlExecutor) -> None:
    snapshot = await executor.schema()
    assert [t.name for t in snapshot.tables] == [
        *("cashflow", "documents", "expenses", "labor", "materials", "organizations", "projects", "vendors")
    ]
    expenses = snapshot.table("expenses")
    assert expenses is not None
    assert (expenses.row_estimate, expenses.primary_key) == (24_000, ("id",))
    assert expenses.comment == "Costs booked to a project"
    assert ForeignKey(columns=("vendor_id",), referenced_table="vendors", referenced_columns=("id",)) in (
        expenses.foreign_keys
    )
    amount = expenses.column("amount")
    assert amount is not None
    assert (amount.type, amount.nullable) == ("numeric(14,2)", False)


LOOKUPS = [("projects", "name", 24), ("projects", "city", 16), ("vendors", "name", 20), ("labor", "trade", 8)]


@pytest.mark.parametrize(
    ("table", "name", "count"), [*LOOKUPS, ("labor", "worker_name", 20), ("materials", "name", 10)]
)
async def test_values_of_lookup_columns_are_complete(
    executor: SqlExecutor, admin: "asyncpg.Connection[asyncpg.Record]", table: str, name: str, count: int
) -> None:
    found = column(await executor.schema(), table, name)
    stored = await admin.fetch(f"SELECT DISTINCT {name} FROM {table}")
    assert found.values_complete
    assert len(found.sample_values) == count
    assert set(found.sample_values) == {row[0] for row in stored}


def test_only_what_the_role_may_read(probe: SchemaSnapshot) -> None:
    assert [t.name for t in probe.tables] == [
        "big",
        "child",
        "parent",
        "pointing",
        "seen",
        "split",
        "unanalysed",
    ]
    parent = probe.table("parent")
    assert parent is not None
    assert [c.name for c in parent.columns] == ["a", "b"]
    assert "classified" not in probe.model_dump_json()


def test_keys(probe: SchemaSnapshot) -> None:
    child, parent, pointing = (probe.table(name) for name in ("child", "parent", "pointing"))
    assert child
    assert parent
    assert pointing
    assert parent.primary_key == ("a", "b")
    assert child.foreign_keys == (
        ForeignKey(columns=("a", "b"), referenced_table="parent", referenced_columns=("a", "b")),
    )
    assert pointing.foreign_keys == ()


def test_columns(probe: SchemaSnapshot) -> None:
    child = probe.table("child")
    assert child is not None
    assert child.comment == "Children"
    assert [c.name for c in child.columns] == ["id", "a", "b", "mood", "kind", "code", 'Odd "Name']
    assert [c.type for c in child.columns] == [
        *("bigint", "integer", "text", "mood", "word", "character varying(8)", "character(3)")
    ]
    assert [c.nullable for c in child.columns] == [False, True, True, True, False, True, True]
    mood = column(probe, "child", "mood")
    assert (mood.enum_values, mood.comment) == (("sad", "ok", "happy"), "How they feel")


def test_values(probe: SchemaSnapshot) -> None:
    kind = column(probe, "child", "kind")
    assert (kind.sample_values, kind.values_complete) == (("usual", "rare"), True)
    assert "" not in column(probe, "child", "code").sample_values
    assert column(probe, "seen", "b").sample_values == ()
    assert column(probe, "unanalysed", "label").sample_values == ()
    assert column(probe, "split", "region").sample_values == ("north", "south")
    lookup = column(probe, "big", "kind")
    assert (set(lookup.sample_values), lookup.values_complete) == ({f"kind {n}" for n in range(7)}, True)
    names = column(probe, "big", "name")
    assert not names.values_complete
    assert 0 < len(names.sample_values) <= IntrospectionConfig().statistics_value_cap


async def test_caps(sample_database: EmbeddedDatabase, probe: SchemaSnapshot) -> None:
    config = IntrospectionConfig(small_table_value_cap=5, value_length_cap=20, statistics_value_cap=3)
    snapshot = await read(sample_database, config)
    projects = column(snapshot, "projects", "name")
    assert len(projects.sample_values) == 5
    assert not projects.values_complete
    assert all(len(value) <= 20 for value in projects.sample_values)
    assert len(column(snapshot, "labor", "trade").sample_values) == 3


async def test_fingerprint_changes_with_the_schema_and_only_then(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]", probe: SchemaSnapshot
) -> None:
    config = IntrospectionConfig(schema_name="probe")
    assert (await read(sample_database, config)).fingerprint == probe.fingerprint
    async with admin.transaction():
        await admin.execute("COMMENT ON COLUMN probe.big.kind IS 'changed'")
    assert (await read(sample_database, config)).fingerprint != probe.fingerprint
    await admin.execute("COMMENT ON COLUMN probe.big.kind IS NULL")
    assert (await read(sample_database, config)).fingerprint == probe.fingerprint


async def test_a_schema_without_tables(sample_database: EmbeddedDatabase) -> None:
    assert (await read(sample_database, IntrospectionConfig(schema_name="no_such_schema"))).tables == ()


async def test_big_tables_are_not_scanned(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]", probe: SchemaSnapshot
) -> None:
    """A lock that stops every reader of a big table does not stop the reading of the schema."""
    async with admin.transaction():
        await admin.execute("LOCK TABLE probe.big IN ACCESS EXCLUSIVE MODE")
        snapshot = await read(sample_database, IntrospectionConfig(schema_name="probe"))
    assert column(snapshot, "big", "kind").values_complete


async def test_of_big_tables_with_row_security_the_first_rows_are_read(
    sample_database: EmbeddedDatabase,
) -> None:
    """The planner's statistics are hidden there, since they are of everybody's rows."""
    whole = column(await read(sample_database, IntrospectionConfig()), "labor", "trade")
    assert whole.values_complete
    few = await read(sample_database, IntrospectionConfig(secured_table_rows=3, small_table_rows=0))
    assert 0 < len(column(few, "labor", "trade").sample_values) <= 4
    assert not column(few, "labor", "trade").values_complete


async def test_a_table_that_takes_too_long_to_read_costs_its_values_alone(
    sample_database: EmbeddedDatabase, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with admin.transaction():
        await admin.execute("LOCK TABLE labor IN ACCESS EXCLUSIVE MODE")
        snapshot = await read(sample_database, IntrospectionConfig(statement_timeout_s=0.5))
    assert column(snapshot, "labor", "trade").sample_values == ()
    assert column(snapshot, "projects", "name").values_complete


async def test_statistics_tell_what_values_look_like_and_which_are_allowed(clinic_database: str) -> None:
    executor = SqlExecutor(clinic_database)
    try:
        found = await executor.statistics()
    finally:
        await executor.close()

    assert found["visits", "reason"].allowed[:2] == ("checkup", "vaccination")
    assert found["charges", "quantity"].distinct == 5
    assert found["visits", "id"].distinct == 1500
    assert 0.1 < (found["charges", "paid_on"].null_fraction or 0) < 0.3
    assert found["owners", "phone"].allowed == ()
    assert (found["owners", "phone"].mean_bytes or 0) > 5


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("kind IN ('a', 'it''s', 'x]y')", ("a", "it's", "x]y")),
        ("code IN ('a', 'b')", ("a", "b")),
        ("kind NOT IN ('a', 'b')", ()),
        ("NOT kind IN ('a', 'b')", ()),
        ("kind IN ('a', 'b') AND length(kind) > 0", ("a", "b")),
        ("length(kind) > 3", ()),
        ("kind = 'a'", ()),
        ("n IN (1, 2)", ()),
    ],
)  # fmt: skip
async def test_lists_of_check_constraints(
    sample_database: EmbeddedDatabase, condition: str, expected: tuple[str, ...]
) -> None:
    connection = await asyncpg.connect(sample_database.admin_dsn)
    try:
        await connection.execute(
            f"CREATE TEMP TABLE listed (kind text, code varchar(8), n int, CHECK ({condition}))"
        )
        definition = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'listed'::regclass"
        )
    finally:
        await connection.close()

    assert listed_values(definition) == expected
