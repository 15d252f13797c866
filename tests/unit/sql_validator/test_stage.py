"""The stage: policies over the live schema, asked for again after its time."""

import asyncio
from datetime import UTC, datetime

import pytest

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.contracts import Caller, Column, SchemaSnapshot, Table, ValidSql
from serve_app.errors import DatabaseUnavailable

CALLER = Caller(user_id="tester")
EVERYTHING = Caller(user_id="tester", policy="database")


class SchemaSource:
    """A schema that grows by one column each time it is read, and counts the readings."""

    def __init__(self) -> None:
        self.readings = 0
        self.down = False

    async def __call__(self) -> SchemaSnapshot:
        await asyncio.sleep(0)
        if self.down:
            raise DatabaseUnavailable()
        self.readings += 1
        columns = tuple(Column(name=f"c{n}", type="integer", nullable=True) for n in range(self.readings))
        return SchemaSnapshot(
            tables=(Table(name="things", columns=columns),),
            fingerprint=str(self.readings),
            taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        )


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_stage() -> tuple[SqlValidatorCore, SchemaSource, Clock]:
    source, clock = SchemaSource(), Clock()
    return SqlValidatorCore(source, ValidatorConfig(schema_ttl_s=60), clock=clock), source, clock


async def test_statements_are_checked_against_the_live_schema() -> None:
    stage, _, _ = make_stage()
    assert isinstance(await stage.validate("SELECT c0 FROM things", EVERYTHING), ValidSql)
    assert not (await stage.validate("SELECT c1 FROM things", EVERYTHING)).accepted
    assert not (await stage.validate("SELECT name FROM projects", CALLER)).accepted


async def test_the_schema_is_read_once_within_its_time() -> None:
    stage, source, clock = make_stage()
    await asyncio.gather(*(stage.validate("SELECT 1", CALLER) for _ in range(20)))
    assert source.readings == 1
    clock.now += 61
    assert isinstance(await stage.validate("SELECT c1 FROM things", EVERYTHING), ValidSql)
    assert source.readings == 2


async def test_without_any_schema_the_fault_of_the_source_is_raised() -> None:
    stage, source, _ = make_stage()
    source.down = True
    with pytest.raises(DatabaseUnavailable):
        await stage.validate("SELECT 1", CALLER)


async def test_a_known_schema_outlives_its_source() -> None:
    stage, source, clock = make_stage()
    await stage.validate("SELECT 1", CALLER)
    source.down = True
    clock.now += 61
    assert isinstance(await stage.validate("SELECT c0 FROM things", EVERYTHING), ValidSql)


async def test_health_counts_verdicts() -> None:
    stage, _, _ = make_stage()
    await stage.validate("SELECT 1", CALLER)
    await stage.validate("DROP TABLE x", CALLER)
    health = await stage.health()
    assert health.ok
    assert health.figures["verdicts_accepted"] == 1
    assert health.figures["verdicts_select_only"] == 1
    assert health.figures["policies"] == "base, database, default, restricted"
