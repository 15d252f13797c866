"""Building execution requests and waiting for conditions on the server, for tests of the executor."""

import asyncio
from collections.abc import Awaitable, Callable

from serve_app.contracts import Caller, ExecutionRequest, ValidSql

CALLER = Caller(user_id="tester")
DEADLINE_S = 20.0


def make_request(
    sql: str, row_cap: int = 1_000_000, cap_applied: bool = False, timeout_s: float = 10.0
) -> ExecutionRequest:
    """A request for any SQL at all, as if the validator had let it pass."""
    statement = ValidSql(sql=sql, tables=(), row_cap=row_cap, cap_applied=cap_applied)
    return ExecutionRequest(request_id="test", statement=statement, caller=CALLER, timeout_s=timeout_s)


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll a condition until it holds; a generous deadline turns a hang into a failure."""
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - the condition lies on the server, so no event can tell
            await asyncio.sleep(0.02)
