"""Runs gold statements and answers on the target database, side by side in one read-only snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import asyncpg

from serve_app.evaluation.scoring import Rows, equal_rows, has_outer_limit, normalised, without_display_cap

STATEMENT_TIMEOUT_MS = 60_000


class GoldError(Exception):
    """A gold statement or the database itself cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How an answer's rows compare with the golds; ``detail`` says what differs in figures."""

    equal: bool
    detail: str = ""
    runnable: bool = True


class GoldDatabase:
    """A small pool on the database that the endpoint answers from."""

    def __init__(self, dsn: str, connections: int = 2) -> None:
        self._dsn = dsn
        self._connections = connections
        self._pool: asyncpg.Pool | None = None

    async def __aenter__(self) -> Self:
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._connections,
                timeout=10,
                server_settings={
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    # Comparing many rows takes its time on a busy machine, while the snapshot is held.
                    "idle_in_transaction_session_timeout": "0",
                    "application_name": "plumbline eval",
                },
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
            raise GoldError(
                f"The database for the gold statements cannot be reached ({type(error).__name__})."
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def compare(self, answer_sql: str, golds: Sequence[str], ordered: bool) -> Comparison:
        """Run answer and golds at the same database time and compare their rows.

        Raises:
            GoldError: a gold statement does not run.
        """
        assert self._pool is not None, "used outside of its context"
        if not any(has_outer_limit(gold) for gold in golds):
            answer_sql = without_display_cap(answer_sql)
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            try:
                async with connection.transaction():
                    answer = await _rows(connection, answer_sql)
            except asyncpg.PostgresError as error:
                return Comparison(
                    False, f"does not run: {error.args[0] if error.args else error}", runnable=False
                )
            seen: list[str] = []
            for gold_sql in golds:
                try:
                    gold = await _rows(connection, gold_sql)
                except asyncpg.PostgresError as error:
                    raise GoldError(f"A gold statement does not run: {error} in {gold_sql!r}") from error
                if equal_rows(answer, gold, ordered, gold_sql):
                    return Comparison(True)
                seen.append(_size(gold))
        return Comparison(False, f"{_size(answer)} instead of {' or '.join(dict.fromkeys(seen))}")


async def _rows(connection: asyncpg.pool.PoolConnectionProxy, sql: str) -> Rows:
    statement = await connection.prepare(sql)
    records = await statement.fetch()
    return normalised(len(statement.get_attributes()), [tuple(record) for record in records])


def _size(rows: Rows) -> str:
    return f"{len(rows.rows)} rows of {rows.width} columns"
