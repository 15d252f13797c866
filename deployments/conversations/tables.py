"""The store's tables. Later features add columns and tables; nothing here is to be renamed or split."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant; SQLite keeps no time zone, so all are stored in UTC and come back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


metadata = MetaData()

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("user_id", String(200), nullable=False),
    Column("organization_id", String(200)),
    Column("title", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # Also the position of the next exchange: raising it is what puts concurrent writers in order.
    Column("exchange_count", Integer, nullable=False),
    Column("metadata", JSON, nullable=False),
    Index("conversations_by_owner", "user_id", "organization_id", "updated_at"),
)

exchanges = Table(
    "exchanges",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("question", Text, nullable=False),
    Column("sql", Text),
    Column("query_spec", Text),
    Column("answer", Text),
    Column("kind", String(20), nullable=False),
    Column("row_count", Integer),
    Column("at", UtcDateTime, nullable=False),
    Column("metadata", JSON, nullable=False),
    UniqueConstraint("conversation_id", "position"),
)

# What users said of answers. The question and the statement are copies: feedback outlives a conversation that
# is cleared, whose positions begin anew.
feedback = Table(
    "feedback",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("conversation_id", String(200), nullable=False),
    Column("position", Integer, nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("organization_id", String(200)),
    Column("verdict", String(10), nullable=False),
    Column("question", Text, nullable=False),
    Column("sql", Text),
    Column("row_cap", Integer),
    Column("query_spec", Text),
    Column("comment", Text),
    Column("asked_on", Date, nullable=False),
    Column("given_at", UtcDateTime, nullable=False),
    Column("status", String(20), nullable=False),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
    Index("feedback_by_status", "status", "decided_at"),
    Index("feedback_by_exchange", "conversation_id", "position"),
)
