"""What `plumbline doctor` finds wrong with a login role: one small pure function for each concern.

An error lets a statement reach what it must not, should the validator fail. A warning is a layer less.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from deployments.executor.introspection import quote_identifier
from deployments.executor.role.facts import RoleFacts, Routine
from deployments.executor.role.limits import ROLE_LIMITS

Severity = Literal["error", "warning", "ok"]

# PostgreSQL 15 is the oldest that the guardrail was tried on.
OLDEST_TRIED, OLDEST_WITH_TRANSACTION_TIMEOUT = 150_000, 170_000
# Names told of a longer list.
TOLD = 5


@dataclass(frozen=True)
class Finding:
    """One line of the report: what it is about, what is so, and what to do."""

    severity: Severity
    subject: str
    message: str
    advice: str = ""

    def line(self) -> str:
        return f"{self.severity:<7} {self.subject}: {self.message}{'. ' if self.advice else ''}{self.advice}"


@dataclass(frozen=True)
class Wanted:
    """What the role should be able to read: by table of ``schema_name``, the columns that the policy allows.

    ``all_granted``: the policy takes whatever the role may see, so that nothing can be missing. ``functions``
    and ``operators`` are PostgreSQL's own that the policy lists.
    """

    policy: str
    schema_name: str
    columns: Mapping[str, frozenset[str]]
    all_granted: bool = False
    functions: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()


Check = Callable[[RoleFacts, Wanted], Iterable[Finding]]


def examine(facts: RoleFacts, wanted: Wanted) -> tuple[Finding, ...]:
    """All findings, the worst first."""
    order: tuple[Severity, ...] = ("error", "warning", "ok")
    found = [finding for check in CHECKS for finding in check(facts, wanted)]
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def check_server(facts: RoleFacts, _: Wanted) -> Iterator[Finding]:
    server = facts.server
    version = f"PostgreSQL {server.version_text}"
    if server.version < OLDEST_TRIED:
        yield Finding("warning", "server", f"{version} was never tried with Plumbline", "Use 15 or newer.")
    else:
        yield Finding("ok", "server", version)
    if server.ssl:
        yield Finding("ok", "connection", "encrypted (SSL)")
    elif server.loopback:
        yield Finding("ok", "connection", "on this machine, not encrypted")
    else:
        yield Finding(
            "warning", "connection", "not encrypted", "Add ?sslmode=verify-full (or require) to the URL."
        )


def check_role(facts: RoleFacts, _: Wanted) -> Iterator[Finding]:
    role = facts.role
    name = quote_identifier(role.name)
    attributes = {
        "is a superuser": (role.superuser, "NOSUPERUSER"),
        "may create databases": (role.create_databases, "NOCREATEDB"),
        "may create roles": (role.create_roles, "NOCREATEROLE"),
        "may replicate, which reads everything": (role.replication, "NOREPLICATION"),
        "passes row-level security by": (role.bypass_row_security, "NOBYPASSRLS"),
    }
    for told, (given, remedy) in attributes.items():
        if given:
            yield Finding(
                "error",
                "role",
                f"{name} {told}",
                f"ALTER ROLE {name} {remedy};",
            )
    for group in role.memberships:
        yield Finding(
            "error",
            "role",
            f"{name} is a member of {quote_identifier(group)}",
            f"REVOKE {quote_identifier(group)} FROM {name};",
        )
    if role.inherits:
        yield Finding(
            "warning", "role", f"{name} would inherit rights of other roles", f"ALTER ROLE {name} NOINHERIT;"
        )
    if role.connection_limit < 0:
        yield Finding(
            "warning",
            "role",
            f"{name} may open any number of connections",
            f"ALTER ROLE {name} CONNECTION LIMIT 40;",
        )


def check_limits(facts: RoleFacts, _: Wanted) -> Iterator[Finding]:
    name = quote_identifier(facts.role.name)
    for limit in ROLE_LIMITS:
        setting = facts.settings.get(limit.name)
        if setting is None or not _limits_nothing(limit.name, setting):
            continue
        read_only = limit.name == "default_transaction_read_only"
        superuser = " As a superuser:" if limit.needs == "superuser" else ""
        yield Finding(
            "error" if read_only else "warning",
            "limits",
            f"{limit.name} is {setting}",
            f"{superuser} ALTER ROLE {name} SET {limit.name} = '{limit.value}';".strip(),
        )
    if facts.server.version < OLDEST_WITH_TRANSACTION_TIMEOUT:
        yield Finding(
            "warning",
            "limits",
            "the server has no transaction_timeout",
            "Use PostgreSQL 17 or newer, or rely on statement_timeout.",
        )


def check_database(facts: RoleFacts, _: Wanted) -> Iterator[Finding]:
    database = quote_identifier(facts.server.database)
    if facts.server.can_create:
        yield Finding(
            "error",
            "database",
            f"schemas can be created in {database}",
            f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC, {quote_identifier(facts.role.name)};",
        )
    if facts.server.can_create_temporary:
        yield Finding(
            "warning",
            "database",
            f"temporary tables can be created in {database}",
            f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC; "
            "grant it back to roles of yours that need it.",
        )


def check_schemas(facts: RoleFacts, wanted: Wanted) -> Iterator[Finding]:
    role = quote_identifier(facts.role.name)
    for schema in facts.schemas:
        name = quote_identifier(schema.name)
        if schema.can_create:
            yield Finding(
                "error",
                "schema",
                f"objects can be created in {name}",
                f"REVOKE CREATE ON SCHEMA {name} FROM PUBLIC, {role};",
            )
        if schema.usable and schema.name != wanted.schema_name:
            readable = [r.name for r in facts.relations if r.schema == schema.name and r.readable]
            yield Finding(
                "error" if readable else "warning",
                "schema",
                f"{name} can be used, and {_told(readable)} read" if readable else f"{name} can be used",
                f"REVOKE USAGE ON SCHEMA {name} FROM PUBLIC, {role};",
            )
    if not any(s.usable for s in facts.schemas if s.name == wanted.schema_name):
        name = quote_identifier(wanted.schema_name)
        yield Finding("error", "schema", f"{name} cannot be used", f"GRANT USAGE ON SCHEMA {name} TO {role};")


def check_writes(facts: RoleFacts, _: Wanted) -> Iterator[Finding]:
    role = quote_identifier(facts.role.name)
    for relation in facts.relations:
        name = f"{quote_identifier(relation.schema)}.{quote_identifier(relation.name)}"
        if relation.owned:
            yield Finding(
                "error", "tables", f"{role} owns {name}", "Use a role that owns nothing: `plumbline grant`."
            )
        elif relation.writable and relation.is_sequence:
            yield Finding(
                "warning", "tables", f"the sequence {name} can be moved", f"REVOKE ALL ON {name} FROM {role};"
            )
        elif relation.writable:
            yield Finding(
                "error",
                "tables",
                f"{name} can be written to",
                f"REVOKE ALL ON {name} FROM PUBLIC, {role}; then grant SELECT again.",
            )


def check_columns(facts: RoleFacts, wanted: Wanted) -> Iterator[Finding]:
    """Grants against the policy: what it allows and the role cannot read, and the other way round."""
    beyond, missing = [], []
    for table, columns in facts.columns.items():
        allowed = wanted.columns.get(table, frozenset())
        granted = {column for column, given in columns.items() if given}
        beyond += [f"{table}.{column}" for column in columns if column in granted - allowed]
        missing += [f"{table}.{column}" for column in columns if column in allowed - granted]
    missing += [table for table in wanted.columns if table not in facts.columns]
    grant = f"`plumbline grant --policy {wanted.policy}` grants exactly the policy."
    if beyond:
        yield Finding("error", "grants", f"more than the policy allows can be read: {_told(beyond)}", grant)
    if missing and not wanted.all_granted:
        yield Finding("warning", "grants", f"the policy allows what cannot be read: {_told(missing)}", grant)
    if not beyond and (wanted.all_granted or not missing):
        yield Finding("ok", "grants", f"exactly what the policy {wanted.policy!r} allows can be read")


def check_routines(facts: RoleFacts, _: Wanted) -> Iterator[Finding]:
    role = quote_identifier(facts.role.name)
    for routine in facts.routines:
        if routine.security_definer:
            yield Finding(
                "error",
                "functions",
                f"{routine.signature} can be called and has its owner's rights (SECURITY DEFINER)",
                f"REVOKE EXECUTE ON ROUTINE {routine.signature} FROM PUBLIC, {role};",
            )
    plain = [r for r in facts.routines if not r.security_definer]
    yield from _callable([r for r in plain if not r.of_extension], "of this database")
    extensions = [r for r in plain if r.of_extension]
    if extensions:
        yield Finding(
            "warning",
            "functions",
            f"{len(extensions)} functions of extensions can be called: {_signatures(extensions)}",
            "Move extensions to a schema of their own without USAGE for the role.",
        )


def check_overloads(facts: RoleFacts, wanted: Wanted) -> Iterator[Finding]:
    """What a statement would call where the policy means one of PostgreSQL's own functions."""
    role = quote_identifier(facts.role.name)
    listed = {"function": wanted.functions, "operator": wanted.operators}
    for overload in facts.overloads:
        if overload.kind != "cast" and overload.name not in listed[overload.kind]:
            continue
        told = f"the {overload.kind} {overload.signature}"
        if overload.of_extension:
            yield Finding(
                "warning",
                "overloads",
                f"{told} of an extension goes by a name of PostgreSQL's own that the policy lists",
                "Move the extension to a schema of its own without USAGE for the role.",
            )
        else:
            yield Finding(
                "error",
                "overloads",
                f"{told} would be called where the policy means one of PostgreSQL's own",
                f"REVOKE EXECUTE ON FUNCTION {overload.function} FROM PUBLIC, {role};",
            )


def check_row_security(facts: RoleFacts, wanted: Wanted) -> Iterator[Finding]:
    tables = [
        r for r in facts.relations if r.schema == wanted.schema_name and r.readable and not r.is_sequence
    ]
    protected = [t.name for t in tables if t.row_security]
    open_views = [t.name for t in tables if t.is_view and not t.security_invoker]
    if not protected:
        yield Finding("ok", "rows", "row-level security is off: every row of a readable table can be read")
        return
    unprotected = [t.name for t in tables if not t.row_security and not t.is_view]
    off = f"; off for {_told(unprotected)}" if unprotected else ""
    yield Finding("ok", "rows", f"row-level security is on for {_told(protected)}{off}")
    if open_views:
        yield Finding(
            "warning",
            "rows",
            f"these views read with their owner's rights, past row-level security: {_told(open_views)}",
            "ALTER VIEW … SET (security_invoker = true); or do not grant them.",
        )


CHECKS: tuple[Check, ...] = (
    check_role,
    check_database,
    check_schemas,
    check_writes,
    check_columns,
    check_routines,
    check_overloads,
    check_limits,
    check_row_security,
    check_server,
)


def _limits_nothing(name: str, setting: str) -> bool:
    """Whether a setting, in the unit of pg_settings, leaves the role unlimited."""
    match name:
        case "default_transaction_read_only":
            return setting != "on"
        case "jit":
            return setting != "off"
        case "temp_file_limit":
            return int(setting) < 0
        case "max_parallel_workers_per_gather":
            return int(setting) > 0
        case _:
            return name.endswith("_timeout") and int(setting) == 0


def _callable(routines: list[Routine], told: str) -> Iterator[Finding]:
    if not routines:
        return
    through = "by everyone (PUBLIC)" if any(r.for_public for r in routines) else "by the role"
    yield Finding(
        "warning",
        "functions",
        f"{len(routines)} functions {told} can be called {through}: {_signatures(routines)}",
        "`plumbline grant --revoke-public` takes EXECUTE from everyone.",
    )


def _signatures(routines: list[Routine]) -> str:
    return _told([r.signature for r in routines])


def _told(names: list[str]) -> str:
    more = len(names) - TOLD
    return ", ".join(names[:TOLD]) + (f" and {more} more" if more > 0 else "")
