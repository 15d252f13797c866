"""The conversation store: SQLite by default, PostgreSQL by URL, through SQLAlchemy 2.

Every method is one transaction. Whatever the database does, callers see `StoreUnavailable` or a result.
"""

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import delete, event, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import ColumnElement

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.tables import conversations, exchanges, metadata
from serve_app.contracts import Caller, Exchange, NumberedExchange
from serve_app.errors import ConfigurationError, ConversationNotFound, StoreUnavailable

STORE_FILE = "conversations.sqlite"
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# Any constant will do, as long as every creator of the tables takes the same lock.
SCHEMA_LOCK_KEY = 5_270_002
DISK_FULL = "The disk is full, so conversations cannot be saved. Ask your administrator to free some space."
DAMAGED = (
    "The store of conversations is damaged, so they can be neither loaded nor saved. Ask your administrator "
    "to restore it, or to move its file away and begin anew."
)
# In an exchange's metadata: what names it, so that a repeated call does not store it twice.
KEY = "key"
# A repeat follows its first call within seconds.
KEYS_LOOKED_AT = 20
EXCHANGE_FIELDS = ("question", "sql", "query_spec", "answer", "kind", "row_count", "at")


class ConversationStore:
    """Rows of conversations and exchanges, and whose they are. Nothing is opened before the first use."""

    def __init__(self, url: str, config: ConversationsConfig | None = None) -> None:
        """Take a URL such as ``sqlite:////path/to/file.db`` or ``postgresql://user:password@host/database``.

        Raises:
            ConfigurationError: the URL is none of these.
        """
        self._config = config or ConversationsConfig()
        self._url = parse_url(url)
        self._engine: AsyncEngine | None = None
        self._opening = asyncio.Lock()
        # SQLite has one writer, and its own waiting sleeps in steps of up to a second.
        self._writing = asyncio.Lock() if self._url.get_backend_name() == "sqlite" else None

    async def append(
        self, conversation_id: str, caller: Caller, exchange: Exchange, key: str | None = None
    ) -> int:
        """Add an exchange at the end, creating the conversation with the first; return its position from 0.

        One that is there under the same ``key`` is not added again.

        Raises:
            ConversationNotFound: the conversation is another caller's.
            StoreUnavailable.
        """
        async with self.transaction(write=True) as connection:
            position = await self._next_position(connection, conversation_id, caller, exchange)
            # Not before the conversation's row is locked: the first writer may still be at it.
            kept = await self._kept_position(connection, conversation_id, key) if key else None
            if kept is not None:
                await self._uncount(connection, conversation_id)
                return kept
            values = {name: storable(getattr(exchange, name)) for name in EXCHANGE_FIELDS}
            about = {KEY: key} if key else {}
            await connection.execute(
                insert(exchanges).values(
                    conversation_id=conversation_id, position=position, metadata=about, **values
                )
            )
        return position

    async def last(
        self, conversation_id: str, caller: Caller, limit: int
    ) -> tuple[tuple[Exchange, ...], int]:
        """The last ``limit`` exchanges, oldest first, and how many there are in all.

        Raises:
            ConversationNotFound, StoreUnavailable.
        """
        async with self.transaction(write=False) as connection:
            total = await self._exchange_count(connection, conversation_id, caller)
            rows = await connection.execute(
                select(*(exchanges.c[name] for name in EXCHANGE_FIELDS))
                .where(exchanges.c.conversation_id == conversation_id)
                .order_by(exchanges.c.position.desc())
                .limit(limit)
            )
            found = tuple(Exchange(**row._mapping) for row in rows)
        return found[::-1], total

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        """The exchange at a position, the last one for None; None if there is none.

        Raises:
            ConversationNotFound, StoreUnavailable.
        """
        async with self.transaction(write=False) as connection:
            total = await self._exchange_count(connection, conversation_id, caller)
            wanted = total - 1 if position is None else position
            rows = await connection.execute(
                select(*(exchanges.c[name] for name in EXCHANGE_FIELDS)).where(
                    exchanges.c.conversation_id == conversation_id, exchanges.c.position == wanted
                )
            )
            row = rows.first()
        if row is None:
            return None
        return NumberedExchange(position=wanted, exchange=Exchange(**row._mapping))

    async def clear(self, conversation_id: str, caller: Caller) -> None:
        """Remove the exchanges; the conversation itself stays and can go on.

        Raises:
            ConversationNotFound, StoreUnavailable.
        """
        async with self.transaction(write=True) as connection:
            emptied = await connection.execute(
                update(conversations)
                .where(conversations.c.id == conversation_id, owned_by(caller))
                .values(exchange_count=0)
            )
            if emptied.rowcount == 0:
                raise ConversationNotFound
            await connection.execute(delete(exchanges).where(exchanges.c.conversation_id == conversation_id))

    async def check(self) -> None:
        """Raises StoreUnavailable unless the store can be read and its tables are there."""
        async with self.transaction(write=False) as connection:
            await connection.execute(select(conversations.c.id).limit(1))

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def _next_position(
        self, connection: AsyncConnection, conversation_id: str, caller: Caller, exchange: Exchange
    ) -> int:
        """Create the conversation or count it up; its row stays locked until the transaction ends."""
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        created = dialect.insert(conversations).values(
            id=conversation_id,
            user_id=caller.user_id,
            organization_id=caller.organization_id,
            title=title_of(exchange.question, self._config.title_characters),
            created_at=exchange.at,
            updated_at=exchange.at,
            exchange_count=1,
            metadata={},
        )
        counted = created.on_conflict_do_update(
            index_elements=[conversations.c.id],
            set_={"exchange_count": conversations.c.exchange_count + 1, "updated_at": exchange.at},
            where=owned_by(caller),
        ).returning(conversations.c.exchange_count)
        count: int | None = (await connection.execute(counted)).scalar()
        if count is None:
            raise ConversationNotFound
        return count - 1

    async def _kept_position(self, connection: AsyncConnection, conversation_id: str, key: str) -> int | None:
        """Where the exchange of that key stands, if it is one of the last."""
        last = (
            select(exchanges.c.position, exchanges.c.metadata)
            .where(exchanges.c.conversation_id == conversation_id)
            .order_by(exchanges.c.position.desc())
            .limit(KEYS_LOOKED_AT)
        )
        found = ((position, about) for position, about in await connection.execute(last))
        return next((position for position, about in found if about.get(KEY) == key), None)

    async def _uncount(self, connection: AsyncConnection, conversation_id: str) -> None:
        counted = conversations.c.exchange_count - 1
        await connection.execute(
            update(conversations).where(conversations.c.id == conversation_id).values(exchange_count=counted)
        )

    async def _exchange_count(self, connection: AsyncConnection, conversation_id: str, caller: Caller) -> int:
        found = await connection.execute(
            select(conversations.c.exchange_count).where(
                conversations.c.id == conversation_id, owned_by(caller)
            )
        )
        count: int | None = found.scalar()
        if count is None:
            raise ConversationNotFound
        return count

    @asynccontextmanager
    async def transaction(self, write: bool) -> AsyncIterator[AsyncConnection]:
        """One transaction in the store; `StoreUnavailable` is raised for whatever the database does."""
        try:
            async with asyncio.timeout(self._config.store_timeout_s):
                engine = await self._ready_engine()
                turn = self._writing if write and self._writing is not None else nullcontext()
                async with turn, engine.connect() as connection:
                    await connection.execution_options(write=write)
                    async with connection.begin():
                        yield connection
        except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError) as error:
            # The statement's parameters hold the question; the log gets the driver's words alone.
            cause = getattr(error, "orig", None) or error
            raise StoreUnavailable(_words(cause), detail=f"{type(cause).__name__}: {cause}"[:500]) from error

    async def _ready_engine(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                engine = self._new_engine()
                try:
                    async with engine.connect() as connection:
                        await connection.execution_options(write=True)
                        async with connection.begin():
                            await create_tables(connection)
                except BaseException:
                    await engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def _new_engine(self) -> AsyncEngine:
        if self._url.get_backend_name() == "sqlite":
            if self._url.database:
                Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_async_engine(self._url, connect_args={"timeout": self._config.store_timeout_s})
            configure_sqlite(engine)
            return engine
        return create_async_engine(
            self._url, pool_size=self._config.pool_size, pool_pre_ping=True, hide_parameters=True
        )


def _words(cause: BaseException) -> str | None:
    """What an administrator can do about it, where the cause is known."""
    # The low byte is the kind, the others say more exactly where.
    kind = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    state = getattr(cause, "sqlstate", None)
    if kind == sqlite3.SQLITE_FULL or state == "53100" or getattr(cause, "errno", None) == errno.ENOSPC:
        return DISK_FULL
    return DAMAGED if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else None


def store_url(given: str | None, data_folder: Path) -> str:
    """The URL of the store: the one that is set, else SQLite in the data folder."""
    return given or f"sqlite+aiosqlite:///{data_folder / STORE_FILE}"


def parse_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    backend = parsed.drivername.split("+")[0] if parsed is not None else None
    if parsed is None or backend not in DRIVERS or (backend == "sqlite" and not parsed.database):
        raise ConfigurationError(
            "The URL of the conversation store cannot be read. Give sqlite:////path/to/file.db or "
            "postgresql://user:password@host/database."
        )
    return parsed.set(drivername=DRIVERS[backend])


def configure_sqlite(engine: AsyncEngine) -> None:
    """Write-ahead log: readers never wait. Every commit reaches the disk. Transactions begin as told."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # Without this the driver begins transactions by itself, too late to order two writers.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


async def create_tables(connection: AsyncConnection) -> None:
    """Create what is missing. On PostgreSQL, concurrent creators of the same table fail without a lock."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK_KEY})
    for table in metadata.sorted_tables:
        await connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            await connection.execute(CreateIndex(index, if_not_exists=True))


def owned_by(caller: Caller) -> ColumnElement[bool]:
    return (conversations.c.user_id == caller.user_id) & conversations.c.organization_id.is_not_distinct_from(
        caller.organization_id
    )


def storable(value: Any) -> Any:
    """Text without what a database refuses: NUL characters and halves of surrogate pairs."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def title_of(question: str, characters: int) -> str:
    words = " ".join(storable(question).split())
    return words if len(words) <= characters else words[: characters - 1].rstrip() + "…"
