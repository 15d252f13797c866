"""Runs accepted SQL and reads the schema: the only holder of the target database's credentials."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import asyncpg

from deployments.executor.config import ExecutorConfig
from deployments.executor.digest import digest
from deployments.executor.failures import DRIVER_FAILURES, NOT_SQL, TOO_LARGE, as_plumbline_error
from deployments.executor.formatting import column_infos
from deployments.executor.gate import check_plan
from deployments.executor.introspection import read_schema, read_statistics
from deployments.executor.metering import ResultTooWide, meter_of
from deployments.executor.organizations import Access, Accesses, AccessRules, ReaderOnly
from deployments.executor.pool import ConnectionPool, PooledConnection, milliseconds
from deployments.executor.row_collector import RowCollector
from serve_app.contracts import (
    Caller,
    ColumnStatistics,
    ExecutionRequest,
    ExecutionResult,
    SchemaSnapshot,
    SemanticType,
    StageHealth,
    TrialFailed,
    TrialOutcome,
    TrialRequest,
    Tried,
    ValidSql,
)
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    Overloaded,
    PermissionDenied,
    PlumblineError,
    SchemaChanged,
)
from serve_app.schema_cache import SchemaCache

STAGE = "executor"
# The server's own timeout comes first, since it names the cause; this margin is for the way there and back.
DEADLINE_MARGIN_S = 0.3
# Less time than this is not worth a round trip for counting.
SHORTEST_COUNT_S = 0.01
RETRY_AFTER_S = 2.0
# What the decoders of values raise: a date or number beyond their range, JSON nested too deeply.
UNREADABLE_VALUES = (ValueError, ArithmeticError, RecursionError)
FAILURES = (*DRIVER_FAILURES, *UNREADABLE_VALUES)
SET_STATEMENT_TIMEOUT = "SELECT set_config('statement_timeout', $1, true)"
NO_COLUMNS = "The query returns no columns, so there is nothing to show. Ask for something to see."


def sendable(sql: str) -> str:
    """The text, unless the wire protocol cannot carry it: such text would cost the connection.

    Raises:
        ExecutionFailed.
    """
    if "\x00" in sql or any("\ud800" <= character <= "\udfff" for character in sql):
        raise ExecutionFailed(NOT_SQL, detail="the statement holds NUL or half a surrogate pair")
    return sql


class SqlExecutor:
    """Every statement: one, prepared, in a READ ONLY transaction, under time, row and byte limits."""

    def __init__(
        self,
        dsn: str,
        config: ExecutorConfig | None = None,
        semantics: Mapping[str, SemanticType] | None = None,
        access: AccessRules | None = None,
    ) -> None:
        """``semantics`` maps column names to what they mean (domain pack). Nothing is connected yet.

        ``access`` says whose login and which policy a caller has; without it all read as the DSN's role.
        """
        self._config = config or ExecutorConfig()
        self._semantics = {name.lower(): meaning for name, meaning in (semantics or {}).items()}
        self._rules = access or AccessRules(ReaderOnly(dsn))
        self._accesses = Accesses(
            self._rules.login, self._make_access, self._config.organization_pools, self._rules.strict
        )
        self._slots = asyncio.Semaphore(self._config.max_concurrent_queries)
        self._queries = 0

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        """Run one accepted statement; cancelling the call cancels the statement on the server.

        Raises:
            ExecutionFailed, ExecutionTimeout, PermissionDenied, DatabaseUnavailable.
            Overloaded: too many statements wait already, or this one waited too long.
        """
        timeout_s = min(request.timeout_s, self._config.statement_timeout_s)
        async with self._slot(min(request.timeout_s, self._config.max_wait_s)):
            return await self._run(self._pool_of(request.caller), request.statement, timeout_s)

    async def trial(self, request: TrialRequest) -> tuple[TrialOutcome, ...]:
        """Run statements on one connection, one after the other under the small limits; an outcome for each.

        Raises:
            DatabaseUnavailable, Overloaded; ExecutionTimeout: the server answered none of them in time.
        """
        timeout_s = min(request.timeout_s, self._config.statement_timeout_s)
        async with self._slot(min(request.timeout_s, self._config.max_wait_s)):
            try:
                pool = self._pool_of(request.caller)
                async with self._deadline(timeout_s), pool.transaction(timeout_s) as connection:
                    return await self._trials(pool, connection, request.statements, timeout_s)
            except DRIVER_FAILURES as error:
                raise as_plumbline_error(error) from error

    async def schema(self, refresh: bool = False, caller: Caller | None = None) -> SchemaSnapshot:
        """What the login role may see, at most ``schema_cache_ttl_s`` old.

        With a caller: what that caller may see, which is less by the columns that the policy denies and the
        values of other organizations. Without one the answer is for checks, never for anyone's eyes.

        Raises:
            DatabaseUnavailable, ExecutionTimeout.
            PermissionDenied: the caller's organization has no login, or the policy is unknown.
        """
        if caller is None:
            return await self._accesses.reader.schema.get(refresh)
        snapshot = await self._accesses.of(caller.organization_id).schema.get(refresh)
        return self._rules.visible(snapshot, caller.policy)

    async def forget_schema(self) -> None:
        """Read every schema again for the next who asks: a statement met another one."""
        for access in self._accesses.all():
            access.schema.expire()

    async def statistics(self) -> dict[tuple[str, str], ColumnStatistics]:
        """(table, column) -> what the planner and the constraints know of its values.

        Raises:
            DatabaseUnavailable, ExecutionTimeout.
        """
        config = self._config.introspection
        schema = await self.schema()
        try:
            async with self._accesses.reader.pool.transaction(config.statement_timeout_s) as connection:
                return await read_statistics(connection, schema, config)
        except DRIVER_FAILURES as error:
            raise as_plumbline_error(error) from error

    async def health(self) -> StageHealth:
        figures: dict[str, float | int | str | bool | None] = {"running_queries": self._queries}
        try:
            async with asyncio.timeout(self._config.connect_timeout_s + DEADLINE_MARGIN_S):
                started = time.monotonic()
                async with self._accesses.reader.pool.transaction(
                    self._config.connect_timeout_s
                ) as connection:
                    await connection.fetchval("SELECT 1")
            figures["round_trip_ms"] = round((time.monotonic() - started) * 1000, 3)
        except (PlumblineError, *DRIVER_FAILURES):
            return StageHealth(
                stage=STAGE,
                ok=False,
                detail="The database cannot be reached.",
                figures=figures | self._figures(),
            )
        return StageHealth(
            stage=STAGE, ok=True, detail="The database answers.", figures=figures | self._figures()
        )

    async def close(self) -> None:
        await self._accesses.close()

    @contextlib.asynccontextmanager
    async def _slot(self, wait_s: float) -> AsyncIterator[None]:
        """A place among the statements that run at the same time."""
        if self._queries >= self._config.max_concurrent_queries + self._config.max_waiting_queries:
            raise Overloaded(retry_after_s=RETRY_AFTER_S)
        self._queries += 1
        try:
            try:
                async with asyncio.timeout(wait_s):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise Overloaded(
                    detail=f"no slot within {wait_s:g} s", retry_after_s=RETRY_AFTER_S
                ) from error
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._queries -= 1

    def _deadline(self, timeout_s: float) -> asyncio.Timeout:
        """For a connection that may have to be opened first, and for all that runs on it then."""
        return asyncio.timeout(self._config.connect_timeout_s + timeout_s + DEADLINE_MARGIN_S)

    def _figures(self) -> dict[str, float | int | str | bool | None]:
        reader = self._accesses.reader
        figures = [access.pool.figures() for access in self._accesses.all()]
        summed = {name: sum(f[name] for f in figures) for name in figures[0]}
        return {**summed, "schema_age_s": reader.schema.age_s(), "organizations_open": len(figures) - 1}

    def _pool_of(self, caller: Caller) -> ConnectionPool:
        """Connections of the caller's organization; raises PermissionDenied if it has no login."""
        return self._accesses.of(caller.organization_id).pool

    def _make_access(self, dsn: str, is_organization: bool) -> Access:
        pool = ConnectionPool(dsn, self._config, self._rules.passfile, is_organization)

        async def read() -> SchemaSnapshot:
            return await self._read_schema(pool)

        return Access(pool, SchemaCache(read, self._config.introspection.schema_cache_ttl_s))

    async def _read_schema(self, pool: ConnectionPool) -> SchemaSnapshot:
        config = self._config.introspection
        try:
            async with pool.transaction(config.statement_timeout_s) as connection:
                return await read_schema(connection, config)
        except TimeoutError as error:
            raise DatabaseUnavailable(detail="the schema was not read in time") from error
        except DRIVER_FAILURES as error:
            raise as_plumbline_error(error) from error

    async def _run(self, pool: ConnectionPool, statement: ValidSql, timeout_s: float) -> ExecutionResult:
        started = time.monotonic()
        collector = RowCollector(self._config.display_rows, self._config.max_result_bytes)
        total = None
        try:
            async with self._deadline(timeout_s), pool.transaction(timeout_s) as connection:
                ends = time.monotonic() + timeout_s
                # The server's limit begins anew with every fetch; this one is for them all.
                async with asyncio.timeout(timeout_s + DEADLINE_MARGIN_S):
                    cursor = await self._read(connection, statement, collector)
                    total = await self._total(connection, cursor, collector, statement, ends)
        except FAILURES as error:
            failure = as_plumbline_error(error)
            # Running out of time while counting costs the total, not the rows.
            if not (collector.complete and isinstance(failure, ExecutionTimeout)):
                raise failure from error
        except ResultTooWide:
            # The rows before the wide one are kept, as with any other limit of bytes.
            collector.truncated_by = "bytes"
        # A result that fills the validator's cap may go on beyond it.
        capped = statement.cap_applied and collector.fetched >= statement.row_cap
        truncated_by = collector.truncated_by or ("rows" if capped else None)
        return ExecutionResult(
            columns=collector.columns,
            rows=tuple(collector.rows),
            row_count=len(collector.rows),
            total_count=total,
            truncated=truncated_by is not None,
            truncated_by=truncated_by,
            execution_ms=(time.monotonic() - started) * 1000,
        )

    async def _trials(
        self,
        pool: ConnectionPool,
        connection: PooledConnection,
        statements: tuple[ValidSql, ...],
        timeout_s: float,
    ) -> tuple[TrialOutcome, ...]:
        """Each within the small limit; what the others leave of the whole time is a bound too."""
        ends = time.monotonic() + timeout_s
        meter = meter_of(connection)
        outcomes: list[TrialOutcome] = []
        for statement in statements:
            left_s = min(self._config.trial_timeout_s, ends - time.monotonic())
            outcomes.append(
                await self._trial(pool, connection, statement, left_s)
                if left_s > 0 and not meter.exceeded
                else TrialFailed(
                    kind="timeout",
                    message=ExecutionTimeout().message,
                    detail="neither time nor a connection was left",
                )
            )
        return tuple(outcomes)

    async def _trial(
        self, pool: ConnectionPool, connection: PooledConnection, statement: ValidSql, timeout_s: float
    ) -> TrialOutcome:
        meter = meter_of(connection)
        try:
            # A savepoint: a statement that fails leaves the transaction to the others.
            async with connection.transaction():
                await connection.fetchval(SET_STATEMENT_TIMEOUT, milliseconds(timeout_s))
                return await self._tried(connection, statement)
        except (*FAILURES, ResultTooWide) as error:
            failure = as_plumbline_error(error)
        except ExecutionFailed as error:
            failure = error
        # The driver takes a closed connection out of its pool, so that it cannot be asked any more.
        if meter.exceeded:
            pool.retire(connection)
            failure = ExecutionFailed(TOO_LARGE, detail="the rows take too many bytes")
        if isinstance(failure, DatabaseUnavailable):
            raise failure
        kind: Literal["failed", "denied", "timeout", "outdated"] = "failed"
        match failure:
            case PermissionDenied():
                kind = "denied"
            case SchemaChanged():
                kind = "outdated"
            case ExecutionTimeout():
                kind = "timeout"
                pool.retire(connection)
        return TrialFailed(kind=kind, message=failure.message, detail=failure.detail or failure.message)

    async def _tried(self, connection: PooledConnection, statement: ValidSql) -> Tried:
        started = time.monotonic()
        rows = min(self._config.trial_rows, self._config.display_rows)
        collector = RowCollector(rows, self._config.max_result_bytes, raw=[])
        await self._read(connection, statement, collector)
        found = digest(
            [column.name for column in collector.columns], [tuple(record) for record in collector.raw or ()]
        )
        complete = collector.truncated_by is None and not (
            statement.cap_applied and collector.fetched >= statement.row_cap
        )
        return Tried(
            digest=found.rows,
            order_digest=found.sequence if statement.ordered and len(collector.rows) > 1 else None,
            row_count=len(collector.rows),
            has_values=any(value is not None for row in collector.rows for value in row),
            result=ExecutionResult(
                columns=collector.columns,
                rows=tuple(collector.rows),
                row_count=len(collector.rows),
                total_count=collector.fetched,
                truncated=False,
                execution_ms=(time.monotonic() - started) * 1000,
            )
            if complete
            else None,
        )

    async def _read(
        self, connection: PooledConnection, statement: ValidSql, collector: RowCollector
    ) -> "asyncpg.cursor.Cursor[Any]":
        """Fill the collector; the cursor behind the last row fetched.

        Raises:
            ExecutionFailed: it has parameters, gives no columns, or its plan is too large.
            ResultTooWide.
        """
        sql = sendable(statement.sql)
        prepared = await connection.prepare(sql)
        if prepared.get_parameters():
            raise ExecutionFailed(NOT_SQL, detail="the statement has parameters")
        collector.columns = column_infos(prepared.get_attributes(), self._semantics)
        if collector.columns:
            await check_plan(connection, sql, self._config)
        cursor = await prepared.cursor()
        meter = meter_of(connection)
        meter.allow_rows(self._config.max_result_bytes)
        try:
            await self._collect(cursor, collector)
        except DRIVER_FAILURES as error:
            if meter.exceeded:
                raise ResultTooWide from error
            raise
        # Only now: what writes gives no columns either, and the server names that fault.
        if not collector.columns:
            raise ExecutionFailed(NO_COLUMNS, detail="the statement returns no columns")
        collector.complete = True
        return cursor

    async def _collect(self, cursor: "asyncpg.cursor.Cursor[Any]", collector: RowCollector) -> None:
        """Fetch until the result ends or one row more than may be shown is seen."""
        while collector.truncated_by is None:
            wanted = collector.next_batch()
            records = await cursor.fetch(wanted)
            collector.add(records)
            if len(records) < wanted:
                break

    async def _total(
        self,
        connection: PooledConnection,
        cursor: "asyncpg.cursor.Cursor[Any]",
        collector: RowCollector,
        statement: ValidSql,
        ends: float,
    ) -> int | None:
        """Rows of the whole result; None if the row cap or the counting bound ended the count.

        Args:
            ends: end of the statement's time, by the monotonic clock.

        Raises:
            asyncpg.QueryCanceledError: counting took too long; the connection is not to be used again.
        """
        total = collector.fetched
        if collector.truncated_by is not None:
            allowed = max(self._config.count_bound, total) - total + 1
            limit_s = min(self._config.count_timeout_s, ends - time.monotonic())
            if limit_s < SHORTEST_COUNT_S:
                return None
            await connection.fetchval(SET_STATEMENT_TIMEOUT, milliseconds(limit_s))
            counted = await cursor.forward(allowed)
            if counted == allowed:
                return None
            total += counted
        return None if statement.cap_applied and total >= statement.row_cap else total
