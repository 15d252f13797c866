"""The attack corpus through validator and executor together, as roles made for the policies.

What the validator leaves to the limits ends by them; what must be accepted runs. The figures themselves are
measured by `tests/performance/bench_limits.py`.
"""

import asyncio

import asyncpg
import pytest

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from deployments.executor.role.grants import RoleGrant, apply_grant, scram_verifier
from serve_app.contracts import ValidSql
from serve_app.database_role import readable_columns
from serve_app.errors import PlumblineError
from tests.executor_helpers import make_request
from tests.limited_runs import dos_items, rejected_by, run_limited
from tests.sql_cases import attack_items, validator

pytestmark = pytest.mark.postgres

POLICIES = ("default", "restricted")
PASSWORD = "attacks"
# 2.5 s and 600 MB are measured by the benchmark; a busy machine may take some times as long.
GENEROUS_S, MOST_BYTES = 10.0, 600_000_000
# The plan's size is judged by the defaults; time belongs to the benchmark.
PATIENT = ExecutorConfig(statement_timeout_s=60.0)


@pytest.fixture(scope="module")
def role_dsns(testbed: EmbeddedDatabase) -> dict[str, str]:
    """By policy, the DSN of a role with exactly its columns, in a database that holds forbidden objects."""

    async def make() -> None:
        admin = await asyncpg.connect(testbed.admin_dsn)
        for policy in POLICIES:
            columns = readable_columns(validator().policies, policy, None)
            verifier = scram_verifier(PASSWORD)
            await apply_grant(admin, RoleGrant(f"attacked_{policy}", columns, password_verifier=verifier))
        await admin.close()

    asyncio.run(make())
    return {
        policy: f"postgresql://attacked_{policy}:{PASSWORD}@127.0.0.1:{testbed.port}/plumbline"
        for policy in POLICIES
    }


@pytest.mark.parametrize("item", dos_items(), ids=lambda item: item["id"])
async def test_attacks_on_resources_are_rejected_or_end_by_the_limits(
    item: dict[str, str], role_dsns: dict[str, str]
) -> None:
    if rejected_by(item) is not None:
        return
    verdict = validator().validate(item["sql"], item["policy"])
    assert isinstance(verdict, ValidSql)
    ended = await run_limited(role_dsns[item["policy"]], verdict.sql)
    assert ended.server_seconds < GENEROUS_S, ended
    assert ended.server_peak_bytes < MOST_BYTES, ended


# Let past the validator, each is ended by another limit: plan, time, memory, temporary files.
UNCHECKED = {
    "R0392": "max_plan_cost",
    "R0401": "OutOfMemoryError",
    "R0426": "canceling statement",
    "R0413": "temporary file size|canceling statement",
}


@pytest.mark.parametrize(("name", "ending"), UNCHECKED.items())
async def test_the_limits_hold_without_the_validator(
    name: str, ending: str, role_dsns: dict[str, str]
) -> None:
    (sql,) = (item["sql"] for item in dos_items() if item["id"] == name)
    executor = SqlExecutor(role_dsns["default"])
    with pytest.raises(PlumblineError) as caught:
        await executor.run(make_request(sql))
    assert (await executor.run(make_request("SELECT 1"))).rows == ((1,),)
    await executor.close()
    assert any(part in " ".join((caught.value.detail or "").split()) for part in ending.split("|"))
    assert all(part not in caught.value.message for part in ("memory:", "canceling", "temp_file", "plan"))


@pytest.mark.parametrize("item", attack_items("must_accept"), ids=lambda item: item["id"])
async def test_every_analysis_runs_under_the_limits(item: dict[str, str], role_dsns: dict[str, str]) -> None:
    verdict = validator().validate(item["sql"], item["policy"])
    assert isinstance(verdict, ValidSql)
    executor = SqlExecutor(role_dsns[item["policy"]], PATIENT)
    result = await executor.run(make_request(verdict.sql, timeout_s=60.0))
    await executor.close()
    assert result.columns
