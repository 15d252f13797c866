"""What a login role can do in its database, read from the catalogs through its own connection."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from deployments.executor.overloads import Overload, read_overloads

ROLE = """
SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolcreatedb AS create_databases,
       r.rolcreaterole AS create_roles, r.rolreplication AS replication,
       r.rolbypassrls AS bypass_row_security, r.rolinherit AS inherits, r.rolconnlimit AS connection_limit,
       ARRAY(
           SELECT g.rolname::text FROM pg_roles g
           WHERE NOT r.rolsuper AND g.oid <> r.oid AND pg_has_role(r.oid, g.oid, 'MEMBER') ORDER BY 1
       ) AS memberships
FROM pg_roles r WHERE r.rolname = current_user
"""
SERVER = """
SELECT current_setting('server_version_num')::int AS version,
       current_setting('server_version') AS version_text,
       COALESCE((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false) AS ssl,
       COALESCE(inet_client_addr() << '127.0.0.0/8' OR inet_client_addr() = '::1', true) AS loopback,
       current_database()::text AS database,
       has_database_privilege(current_database(), 'CREATE') AS can_create,
       has_database_privilege(current_database(), 'TEMP') AS can_create_temporary
"""
# The unit of each stands in pg_settings: milliseconds and kilobytes.
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])"
LIMITS = (
    *("default_transaction_read_only", "statement_timeout", "lock_timeout", "transaction_timeout"),
    *("idle_in_transaction_session_timeout", "temp_file_limit", "jit", "max_parallel_workers_per_gather"),
)
USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
SCHEMAS = f"""
SELECT n.nspname AS name, has_schema_privilege(n.oid, 'USAGE') AS usable,
       has_schema_privilege(n.oid, 'CREATE') AS can_create
FROM pg_namespace n WHERE {USER_SCHEMA} ORDER BY 1
"""
# Rights on one column are enough for a write, and for a read.
RELATIONS = f"""
SELECT n.nspname AS schema, c.relname AS name,
       c.relkind IN ('v', 'm') AS is_view, c.relkind = 'S' AS is_sequence,
       pg_has_role(c.relowner, 'USAGE') AS owned, c.relrowsecurity AS row_security,
       COALESCE(c.reloptions::text[] && ARRAY['security_invoker=true', 'security_invoker=on'], false)
           AS security_invoker,
       CASE WHEN c.relkind = 'S' THEN false
            ELSE has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')
       END AS readable,
       CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE, UPDATE')
            ELSE has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
              OR has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES')
       END AS writable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {USER_SCHEMA} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT c.relispartition
  AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1, 2
"""
COLUMNS = """
SELECT c.relname AS name, a.attname AS column, has_column_privilege(c.oid, a.attnum, 'SELECT') AS granted
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
ORDER BY c.relname, a.attnum
"""
# Triggers are not called by name.
ROUTINES = f"""
SELECT n.nspname AS schema, p.oid::regprocedure::text AS signature, p.prosecdef AS security_definer,
       EXISTS (
           SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a
           WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE'
       ) AS for_public,
       EXISTS (
           SELECT FROM pg_depend d
           WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
       ) AS of_extension
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {USER_SCHEMA} AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Role:
    """The login role's own attributes."""

    name: str
    superuser: bool = False
    create_databases: bool = False
    create_roles: bool = False
    replication: bool = False
    bypass_row_security: bool = False
    inherits: bool = False
    # -1 is no limit.
    connection_limit: int = 40
    memberships: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """The server and the database, as this connection reaches them."""

    version: int
    version_text: str
    database: str
    ssl: bool = False
    loopback: bool = True
    can_create: bool = False
    can_create_temporary: bool = False


@dataclass(frozen=True)
class Schema:
    """A schema that is not PostgreSQL's own."""

    name: str
    usable: bool
    can_create: bool = False


@dataclass(frozen=True)
class Relation:
    """A table, view or sequence in a schema that the role may use."""

    schema: str
    name: str
    is_view: bool = False
    is_sequence: bool = False
    owned: bool = False
    row_security: bool = False
    security_invoker: bool = False
    readable: bool = True
    writable: bool = False


@dataclass(frozen=True)
class Routine:
    """A function or procedure that the role may call; ``signature`` is quoted for use in a statement."""

    schema: str
    signature: str
    security_definer: bool = False
    for_public: bool = False
    of_extension: bool = False


@dataclass(frozen=True)
class RoleFacts:
    """Everything that the checks look at. ``settings`` lacks what the server does not know."""

    role: Role
    server: Server
    settings: Mapping[str, str]
    schemas: tuple[Schema, ...] = ()
    relations: tuple[Relation, ...] = ()
    routines: tuple[Routine, ...] = ()
    overloads: tuple[Overload, ...] = ()
    # Of the schema that questions are about: table -> column -> whether the role may read it.
    columns: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)


async def read_facts(connection: asyncpg.Connection, schema_name: str) -> RoleFacts:
    """Read the facts of the connection's role. Nothing but catalogs is read.

    Raises:
        asyncpg.PostgresError.
    """
    role, server = await connection.fetchrow(ROLE), await connection.fetchrow(SERVER)
    assert role is not None
    assert server is not None
    return RoleFacts(
        role=Role(**{**role, "memberships": tuple(role["memberships"])}),
        server=Server(**server),
        settings={row["name"]: row["setting"] for row in await connection.fetch(SETTINGS, LIMITS)},
        schemas=tuple(Schema(**row) for row in await connection.fetch(SCHEMAS)),
        relations=tuple(Relation(**row) for row in await connection.fetch(RELATIONS)),
        routines=tuple(Routine(**row) for row in await connection.fetch(ROUTINES)),
        overloads=await read_overloads(connection, schema_name),
        columns=await read_columns(connection, schema_name),
    )


async def read_columns(connection: asyncpg.Connection, schema_name: str) -> dict[str, dict[str, bool]]:
    """Every table of the schema -> its columns -> whether the connection's role may read them."""
    found: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in await connection.fetch(COLUMNS, schema_name):
        found[row["name"]][row["column"]] = row["granted"]
    return dict(found)
