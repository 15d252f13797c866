"""Packs for databases of one's own, drafted from a live schema."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployments.executor.config import ExecutorConfig
from deployments.executor.executor import SqlExecutor
from deployments.prompt_builder.drafting.draft import Draft, draft_pack
from deployments.prompt_builder.drafting.render import files_of, write_draft, write_snapshot
from serve_app.contracts import ColumnStatistics, SchemaSnapshot
from serve_app.errors import ConfigurationError
from serve_app.plan import read_pack

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LiveSchema:
    """A database's schema and what it knows of its values."""

    schema: SchemaSnapshot
    statistics: dict[tuple[str, str], ColumnStatistics]


def read_live(dsn: str, config: ExecutorConfig) -> LiveSchema:
    """Read schema and statistics as the login role sees them.

    Raises:
        DatabaseUnavailable, ExecutionTimeout.
    """

    async def read() -> LiveSchema:
        executor = SqlExecutor(dsn, config)
        try:
            return LiveSchema(await executor.schema(), await executor.statistics())
        finally:
            await executor.close()

    return asyncio.run(read())


def init_domain(dsn: str, folder: Path, config: ExecutorConfig, force: bool, say: Say) -> tuple[Path, ...]:
    """Draft a pack from the database into ``folder``; returns the files written.

    Raises:
        ConfigurationError: a file of the pack exists already and ``force`` is off, the folder cannot be made,
            or the role sees no table.
        DatabaseUnavailable, ExecutionTimeout: the database cannot be read.
    """
    present = [path.name for path in files_of(folder) if path.exists()]
    if present and not force:
        raise ConfigurationError(
            f"{folder} holds {' and '.join(present)} already; --force overwrites, --out takes another folder"
        )
    live = read_live(dsn, config)
    draft = draft_pack(live.schema, live.statistics, folder.resolve().name)
    if not draft.pack.tables:
        raise ConfigurationError(
            f"The login role may SELECT from no table of the schema {config.introspection.schema_name!r}."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = write_draft(draft, folder)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    for line in _told(draft):
        say(line)
    return written


def refresh_snapshot(dsn: str, folder: Path, config: ExecutorConfig) -> Path:
    """Write ``schema.json`` anew and leave the rest of the pack as it is.

    Raises:
        ConfigurationError: the folder holds no readable ``domain.yaml``.
        DatabaseUnavailable, ExecutionTimeout: the database cannot be read.
    """
    pack = read_pack(folder)
    return write_snapshot(read_live(dsn, config).schema, pack, folder)


def _told(draft: Draft) -> list[str]:
    """What a person should know of the draft at once."""
    columns = sum(len(table.columns) for table in draft.pack.tables.values())
    lines = [
        f"{len(draft.pack.tables)} tables with {columns} columns, "
        f"{len(draft.suggestions)} suggestions for derived values"
    ]
    lines += [f"left out: {table}, {why}" for table, why in draft.left_out.items()]
    empty = [t.name for t in draft.schema.tables if t.name in draft.pack.tables and not t.row_estimate]
    if empty:
        lines.append(
            f"no values are known of {', '.join(empty)}: if they hold rows, run ANALYZE and draft again"
        )
    return lines
