"""The SQL that makes the restricted role: what it may read, column by column, and its limits.

Running it again changes nothing; running it with other tables leaves exactly those. It refuses a role that
is more than a reader, rather than take rights away from what may be someone's own account.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from deployments.executor.introspection import quote_identifier
from deployments.executor.role.limits import CONNECTION_LIMIT, ROLE_LIMITS, RoleLimit
from serve_app.errors import InvalidRequest

# PostgreSQL cuts longer names off, so two of them could mean one role.
LONGEST_NAME_BYTES = 63
# PostgreSQL's own defaults (scram_iterations, SCRAM_DEFAULT_SALT_LEN).
SCRAM_ITERATIONS, SCRAM_SALT_BYTES = 4096, 16

REFUSE_MORE_THAN_A_READER = """
DECLARE
  reader CONSTANT name := {role};
  fault text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = reader) THEN
    EXECUTE format('CREATE ROLE %I NOINHERIT', reader);
  END IF;
  SELECT CASE
    WHEN reader IN (current_user, session_user) THEN 'is the role you are logged in with'
    WHEN r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
      THEN 'has rights of an administrator'
    WHEN EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid) THEN 'is a member of other roles'
    WHEN EXISTS (
      SELECT FROM pg_shdepend d
      WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'
    ) THEN 'owns objects'
  END INTO fault FROM pg_roles r WHERE r.rolname = reader;
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION 'the role % %; choose another name', quote_ident(reader), fault;
  END IF;
END
"""
# Whatever was granted to the role itself, in any schema; what it has through PUBLIC stays.
TAKE_BACK = """
DECLARE
  reader CONSTANT name := {role};
  reader_oid CONSTANT oid := (SELECT oid FROM pg_roles WHERE rolname = reader);
  object text;
BEGIN
  FOR object IN
    SELECT 'TABLE ' || c.oid::regclass FROM pg_class c
    WHERE EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = reader_oid)
       OR EXISTS (
         SELECT FROM pg_attribute t, aclexplode(t.attacl) a
         WHERE t.attrelid = c.oid AND a.grantee = reader_oid
       )
    UNION ALL
    SELECT 'ROUTINE ' || p.oid::regprocedure FROM pg_proc p, aclexplode(p.proacl) a
    WHERE a.grantee = reader_oid
    UNION ALL
    SELECT format('SCHEMA %I', n.nspname) FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE a.grantee = reader_oid
    UNION ALL
    SELECT format('DATABASE %I', d.datname) FROM pg_database d, aclexplode(d.datacl) a
    WHERE d.datname = current_database() AND a.grantee = reader_oid
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %I', object, reader);
  END LOOP;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), reader);
END
"""
SET_WHERE_POSSIBLE = """
BEGIN
  {statement}
EXCEPTION WHEN {conditions} THEN
  RAISE WARNING 'the limit {name} was not set: %', SQLERRM;
END
"""
CONDITIONS = {"version": "undefined_object", "superuser": "insufficient_privilege"}
# Functions of extensions are left alone: others call them, and they come with PUBLIC's rights on purpose.
TAKE_FROM_PUBLIC = """
DECLARE
  routine regprocedure;
BEGIN
  FOR routine IN
    SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace = {schema}::regnamespace
      AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      )
  LOOP
    EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', routine);
  END LOOP;
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
"""


@dataclass(frozen=True)
class RoleGrant:
    """The restricted role as it should be.

    Args:
        columns: by table of the schema, the columns it may read; a table without columns is left out.
        password_verifier: from `scram_verifier`; None leaves the password as it is.
        revoke_public: take from everyone what a database grants to everyone by default: EXECUTE on the
            schema's functions and on those made later by the same owner, CREATE on the schema, and temporary
            tables.
    """

    role: str
    columns: Mapping[str, tuple[str, ...]]
    schema_name: str = "public"
    password_verifier: str | None = field(default=None, repr=False)
    revoke_public: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidRequest for a name that PostgreSQL would not take as it is."""
        for name in (self.role, self.schema_name):
            if not 1 <= len(name.encode()) <= LONGEST_NAME_BYTES or "\x00" in name:
                raise InvalidRequest(f"{name!r} is no name for PostgreSQL: 1 to {LONGEST_NAME_BYTES} bytes")


def grant_statements(grant: RoleGrant) -> tuple[str, ...]:
    """The statements in order; run them in one transaction, as the owner of the tables or a superuser."""
    role, schema = quote_identifier(grant.role), quote_identifier(grant.schema_name)
    password = f" PASSWORD {quote_literal(grant.password_verifier)}" if grant.password_verifier else ""
    tables = [
        f"GRANT SELECT ({', '.join(map(quote_identifier, columns))}) "
        f"ON {schema}.{quote_identifier(table)} TO {role}"
        for table, columns in sorted(grant.columns.items())
        if columns
    ]
    return (
        _block(REFUSE_MORE_THAN_A_READER.format(role=quote_literal(grant.role))),
        f"ALTER ROLE {role} LOGIN NOINHERIT CONNECTION LIMIT {CONNECTION_LIMIT}{password}",
        *(_limit(role, limit) for limit in ROLE_LIMITS),
        f"ALTER ROLE {role} SET search_path = {schema}",
        *(_from_public(grant.schema_name) if grant.revoke_public else ()),
        _block(TAKE_BACK.format(role=quote_literal(grant.role))),
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        *tables,
    )


def grant_script(grant: RoleGrant) -> str:
    """The statements as a script for psql."""
    return "\n".join(["BEGIN;", *(f"{statement};" for statement in grant_statements(grant)), "COMMIT;"])


async def apply_grant(connection: asyncpg.Connection, grant: RoleGrant) -> tuple[str, ...]:
    """Run the statements in one transaction; the server's warnings, such as limits that it could not set.

    Raises:
        asyncpg.PostgresError: the server refused; nothing is changed.
    """
    warnings: list[str] = []

    def listen(_: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "WARNING" and message.message:
            warnings.append(message.message)

    connection.add_log_listener(listen)
    try:
        async with connection.transaction():
            for statement in grant_statements(grant):
                await connection.execute(statement)
    finally:
        connection.remove_log_listener(listen)
    return tuple(warnings)


def quote_literal(text: str) -> str:
    """A string constant; standard_conforming_strings must be on, as it is by default."""
    return "'" + text.replace("'", "''") + "'"


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), made here so that the password never reaches its logs.

    Raises:
        InvalidRequest: the password is not printable ASCII, which other programs would normalize differently.
    """
    if not password or not (password.isascii() and password.isprintable()):
        raise InvalidRequest("the role's password must be printable ASCII, and not empty")
    salt = secrets.token_bytes(SCRAM_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{told[0]}${told[1]}:{told[2]}"


def _limit(role: str, limit: RoleLimit) -> str:
    statement = f"ALTER ROLE {role} SET {limit.name} = {quote_literal(limit.value)}"
    if limit.needs is None:
        return statement
    return _block(
        SET_WHERE_POSSIBLE.format(
            statement=f"{statement};", conditions=CONDITIONS[limit.needs], name=limit.name
        )
    )


def _from_public(schema_name: str) -> tuple[str, ...]:
    return (
        _block(TAKE_FROM_PUBLIC.format(schema=quote_literal(quote_identifier(schema_name)))),
        f"REVOKE CREATE ON SCHEMA {quote_identifier(schema_name)} FROM PUBLIC",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
    )


def _block(body: str) -> str:
    """An anonymous block, quoted by a tag that its text does not hold."""
    tag = "$plumbline$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}{body}{tag}"
