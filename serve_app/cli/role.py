"""`grant` and `doctor`: the database role that questions are answered with, made and examined."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar
from urllib.parse import urlsplit

import typer

from serve_app.cli.output import EXIT_FAILED, fail, note, result

if TYPE_CHECKING:
    import asyncpg

    from deployments.executor.role.checks import Finding
    from deployments.executor.role.grants import RoleGrant
    from deployments.sql_validator.policy import Policies
    from serve_app.settings import Settings

Found = TypeVar("Found")

# Outside of the settings: a running instance must never hold them.
ADMIN_URL_VARIABLE = "DATABASE_ADMIN_URL"
PASSWORD_VARIABLE = "DATABASE_ROLE_PASSWORD"
CONNECT_TIMEOUT_S = 10.0
# Our own refusals, and a lack of rights: the administrator needs the server's words, and they hold no data.
TOLD_STATES = ("P0001", "42501")

PolicyName = Annotated[
    str | None,
    typer.Option(help="A policy of configs/policies/; default: PLUMBLINE_POLICY, else `default`."),
]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: plumbline grant --role plumbline --policy restricted | psql mydb")(grant)
    app.command(epilog="Example: DATABASE_URL=postgresql://plumbline:…@host/mydb plumbline doctor")(doctor)


def grant(
    role: Annotated[str, typer.Option(help="The login role to make or to update.")] = "plumbline",
    policy: PolicyName = None,
    revoke_public: Annotated[
        bool,
        typer.Option(
            "--revoke-public",
            help="Also take from everyone (PUBLIC) EXECUTE on the schema's functions, CREATE on the schema "
            "and temporary tables. Other roles that need these must be granted them.",
        ),
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run it instead of printing it; in one transaction.")
    ] = False,
    admin_url: Annotated[
        str | None,
        typer.Option(
            envvar=ADMIN_URL_VARIABLE,
            help="PostgreSQL URL of the tables' owner or a superuser; better given as the variable.",
        ),
    ] = None,
) -> None:
    """Print the SQL that makes the restricted role: columns as the policy says, limits, and nothing else.

    It can be run again at any time and leaves exactly what it says. DATABASE_ROLE_PASSWORD, if set, becomes
    the role's password (as a SCRAM verifier). A policy that lists no tables needs --admin-url to read them.
    """
    from deployments.executor.role.grants import RoleGrant, apply_grant, grant_script, scram_verifier
    from serve_app.errors import InvalidRequest

    settings, policies, name = _policy(policy)
    if apply and admin_url is None:
        fail(f"--apply needs --admin-url or {ADMIN_URL_VARIABLE}")
    password = os.environ.get(PASSWORD_VARIABLE)
    try:
        wanted = RoleGrant(
            role,
            _columns(settings, policies, name, admin_url),
            schema_name=policies.policy(name).schema_name or "public",
            password_verifier=None if password is None else scram_verifier(password),
            revoke_public=revoke_public,
        )
    except InvalidRequest as error:
        fail(error.message)
    if not apply or admin_url is None:
        result(grant_script(wanted))
        return
    for warning in _with_connection(admin_url, lambda connection: apply_grant(connection, wanted)):
        note(f"warning: {warning}")
    _tell(wanted, name)


def doctor(
    database_url: Annotated[
        str | None,
        typer.Option(help="PostgreSQL URL of the login role; default: DATABASE_URL, else the embedded one."),
    ] = None,
    policy: PolicyName = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Examine the login role: one line for each finding, with severity and what to do.

    Exit code 0: no errors (warnings may be left); 1: errors, or the database cannot be reached; 2: bad input.
    """
    from deployments.executor.role.checks import examine
    from deployments.executor.role.facts import read_facts
    from serve_app.cli.instance import reader_dsn
    from serve_app.cli.state import StateFolder
    from serve_app.database_role import wanted

    settings, policies, name = _policy(policy)
    schema = policies.policy(name).schema_name or settings.executor.introspection.schema_name
    dsn = database_url or reader_dsn(settings, StateFolder.of(settings))
    facts = _with_connection(dsn, lambda connection: read_facts(connection, schema))
    live = {table: tuple(columns) for table, columns in facts.columns.items()}
    findings = examine(facts, wanted(policies, name, live, schema))
    for finding in findings:
        result(_as_json(finding) if as_json else finding.line())
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    note(f"role {facts.role.name!r}, policy {name!r}: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(EXIT_FAILED)


def _policy(name: str | None) -> "tuple[Settings, Policies, str]":
    from deployments.sql_validator.policy import Policies
    from serve_app.paths import resolve
    from serve_app.settings import load_settings

    settings = load_settings()
    policies = Policies.load(resolve(Path("configs/policies")))
    chosen = name or settings.policy.name
    if chosen not in policies.names:
        fail(f"there is no policy {chosen!r}; there are: {', '.join(policies.names)}")
    return settings, policies, chosen


def _columns(
    settings: "Settings", policies: "Policies", name: str, admin_url: str | None
) -> dict[str, tuple[str, ...]]:
    """The policy's columns, of the tables that are there if the database can be asked."""
    from deployments.executor.role.facts import read_columns
    from serve_app.database_role import missing_tables, readable_columns

    live: dict[str, tuple[str, ...]] | None = None
    schema = policies.policy(name).schema_name or settings.executor.introspection.schema_name
    if admin_url is not None:
        found = _with_connection(admin_url, lambda connection: read_columns(connection, schema))
        live = {table: tuple(columns) for table, columns in found.items()}
        for table in missing_tables(policies, name, live):
            note(f"warning: the policy lists {table!r}, which the schema {schema!r} does not have")
    elif policies.policy(name).tables == "*":
        fail(f"the policy {name!r} lists no tables; give --admin-url, so that they can be read")
    columns = readable_columns(policies, name, live)
    if not columns:
        fail(f"the policy {name!r} allows no table of the schema {schema!r}")
    return columns


def _tell(granted: "RoleGrant", policy: str) -> None:
    columns = sum(map(len, granted.columns.values()))
    note(
        f"the role {granted.role!r} may read {columns} columns of {len(granted.columns)} tables, "
        f"as the policy {policy!r} says; check it as that role with `plumbline doctor`"
    )


def _with_connection(dsn: str, work: "Callable[[asyncpg.Connection], Awaitable[Found]]") -> Found:
    import asyncio

    import asyncpg

    if urlsplit(dsn).scheme not in ("postgresql", "postgres"):
        fail("the database URL must look like postgresql://user:password@host:port/database")

    async def run() -> Found:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, statement_cache_size=0)
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)

    try:
        return asyncio.run(run())
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError):
        fail("the server refused the login; check user, password and database of the URL", EXIT_FAILED)
    except asyncpg.PostgresError as error:
        told = error.args[0] if error.sqlstate in TOLD_STATES else f"SQLSTATE {error.sqlstate}"
        fail(f"the server refused: {told}; nothing was changed", EXIT_FAILED)
    except (asyncpg.InterfaceError, OSError, ValueError):
        fail("the database cannot be reached; check the host and port of the URL", EXIT_FAILED)


def _as_json(finding: "Finding") -> str:
    from dataclasses import asdict

    return json.dumps(asdict(finding), ensure_ascii=False)
