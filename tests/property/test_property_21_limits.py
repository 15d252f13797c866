"""Property 21: Over the row limit: truncated, and the total is told."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from serve_app.contracts import Caller, ExecutionRequest, ExecutionResult, ValidSql

pytestmark = [pytest.mark.property, pytest.mark.postgres]


async def run_once(
    database: EmbeddedDatabase, config: ExecutorConfig, statement: ValidSql
) -> ExecutionResult:
    executor = SqlExecutor(database.dsn, config)
    request = ExecutionRequest(
        request_id="p21", statement=statement, caller=Caller(user_id="p21"), timeout_s=10.0
    )
    try:
        return await executor.run(request)
    finally:
        await executor.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.integers(0, 700),
    display_rows=st.integers(1, 300),
    row_cap=st.integers(1, 600),
    count_bound=st.integers(0, 900),
    max_result_bytes=st.integers(1024, 6000),
)
def test_property_21_limits(
    sample_database: EmbeddedDatabase,
    stored: int,
    display_rows: int,
    row_cap: int,
    count_bound: int,
    max_result_bytes: int,
) -> None:
    """Property 21: any result under any limits shows its first rows, and tells of more and how many."""
    config = ExecutorConfig(
        display_rows=display_rows,
        count_bound=count_bound,
        max_result_bytes=max_result_bytes,
        count_timeout_s=60.0,
    )
    sql = f"SELECT n, 'row ' || n FROM generate_series(1, {stored}) AS n LIMIT {row_cap}"
    statement = ValidSql(sql=sql, tables=(), row_cap=row_cap, cap_applied=True)
    result = asyncio.run(run_once(sample_database, config, statement))
    returned = min(stored, row_cap)
    assert result.rows == tuple((n, f"row {n}") for n in range(1, result.row_count + 1))
    assert result.row_count <= display_rows
    assert result.truncated == (result.row_count < returned or returned == row_cap)
    assert result.truncated == (result.truncated_by is not None)
    if result.total_count is not None:
        assert result.total_count == stored
    # The total is told whenever the statement's own cap and the counting bound leave room to know it.
    if stored < row_cap and stored <= max(count_bound, result.row_count):
        assert result.total_count == stored
    if result.truncated_by == "bytes":
        assert result.row_count < min(returned, display_rows)
