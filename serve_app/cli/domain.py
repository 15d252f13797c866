"""`domain init` and `domain check`: a domain pack for a database of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.cli.output import EXIT_FAILED, fail, note, result

if TYPE_CHECKING:
    from serve_app.settings import Settings

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="PostgreSQL URL; default: DATABASE_URL, else the embedded database."),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Draft and check a domain pack for a database of your own.")
    group.command(
        epilog="Example: plumbline domain init --database-url postgresql://… --out configs/domains/shop"
    )(init)
    group.command(
        epilog="Example: plumbline domain check configs/domains/shop --database-url postgresql://…"
    )(check)
    app.add_typer(group, name="domain")


def init(
    database_url: DatabaseUrl = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the pack; default: configs/domains/<database>.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the pack's files.")] = False,
    schema_only: Annotated[
        bool,
        typer.Option("--schema-only", help="Write schema.json of a pack anew, after the database changed."),
    ] = False,
) -> None:
    """Draft a domain pack from a live database: words, roles, values, and what to show of each table.

    Every line is a guess to be edited. The database is only read.
    """
    from serve_app.domains import init_domain, refresh_snapshot
    from serve_app.settings import load_settings

    settings = load_settings()
    dsn = _dsn(settings, database_url)
    folder = out or Path("configs/domains") / _database_name(dsn)
    if schema_only:
        return result(str(refresh_snapshot(dsn, folder, settings.executor)))
    for path in init_domain(dsn, folder, settings.executor, force, note):
        result(str(path))
    note(f"Edit {folder / 'domain.yaml'}, then run: plumbline domain check {folder}")


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of the pack; default: PLUMBLINE_DOMAIN_PACK.")
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="PostgreSQL URL to check against; without it, the pack's schema.json is used."),
    ] = None,
) -> None:
    """Find what is missing or contradictory in a domain pack: one line each, with severity and place.

    Exit code 0: no errors (warnings may be left); 1: errors; 2: bad input.
    """
    from serve_app.domain_check import check_domain
    from serve_app.paths import resolve
    from serve_app.settings import load_settings

    settings = load_settings()
    place = folder or resolve(settings.domain.pack)
    if not place.is_dir():
        fail(f"{str(place)!r} is not a folder")
    dsn = _dsn(settings, database_url) if database_url else None
    findings = check_domain(place, dsn, settings)
    for finding in findings:
        result(finding.line())
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    note(f"{place}: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(EXIT_FAILED)


def _dsn(settings: "Settings", given: str | None) -> str:
    """The URL given, checked like DATABASE_URL, else the one that questions are answered from."""
    from urllib.parse import urlsplit

    from serve_app.cli.instance import reader_dsn
    from serve_app.cli.state import StateFolder

    if given is None:
        return reader_dsn(settings, StateFolder.of(settings))
    if urlsplit(given).scheme not in ("postgresql", "postgres"):
        fail("--database-url is no URL such as postgresql://user:password@host:port/database")
    return given


def _database_name(dsn: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(dsn).path.strip("/") or "database"
