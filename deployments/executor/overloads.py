"""Functions, operators and casts of a database's own that a statement can reach by PostgreSQL's own names.

An unqualified name means every function of that name in the search path, and the best match for the types of
the arguments is called. So ``round(name)`` calls ``public.round(text)`` if there is one, although a policy
that lists ``round`` means PostgreSQL's. What has the same arguments as one of PostgreSQL's own is never
reached, since ``pg_catalog`` is searched first.
"""

from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

OVERLOADS = """
SELECT 'function' AS kind, p.proname::text AS name, p.oid::regprocedure::text AS signature,
       p.oid::regprocedure::text AS function, p.oid
FROM pg_proc p
WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND p.prokind <> 'p'
  AND EXISTS (
      SELECT FROM pg_proc own WHERE own.proname = p.proname AND own.pronamespace = 'pg_catalog'::regnamespace
  )
  AND NOT EXISTS (
      SELECT FROM pg_proc own WHERE own.proname = p.proname AND own.pronamespace = 'pg_catalog'::regnamespace
        AND own.proargtypes = p.proargtypes
  )
UNION ALL
SELECT 'operator', o.oprname::text, o.oid::regoperator::text, p.oid::regprocedure::text, p.oid
FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
WHERE o.oprnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  AND EXISTS (
      SELECT FROM pg_operator own
      WHERE own.oprname = o.oprname AND own.oprnamespace = 'pg_catalog'::regnamespace
  )
  AND NOT EXISTS (
      SELECT FROM pg_operator own
      WHERE own.oprname = o.oprname AND own.oprnamespace = 'pg_catalog'::regnamespace
        AND own.oprleft = o.oprleft AND own.oprright = o.oprright
  )
UNION ALL
SELECT 'cast', format_type(c.casttarget, NULL),
       format('%s AS %s', c.castsource::regtype, c.casttarget::regtype), p.oid::regprocedure::text, p.oid
FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc
WHERE p.pronamespace <> 'pg_catalog'::regnamespace
"""
# What an extension brings is known to whoever installed it; vectors have a sum of their own, for one.
REACHABLE = f"""
SELECT o.kind, o.name, o.signature, o.function,
       EXISTS (
           SELECT FROM pg_depend d
           WHERE d.classid = 'pg_proc'::regclass AND d.objid = o.oid AND d.deptype = 'e'
       ) AS of_extension
FROM ({OVERLOADS}) o WHERE has_function_privilege(o.oid, 'EXECUTE') ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Overload:
    """One that the connection's role may execute. ``function`` is quoted for use in a statement.

    ``name`` is what a statement writes: the name of the function or operator, or the type that is cast to.
    """

    kind: Literal["function", "operator", "cast"]
    name: str
    signature: str
    function: str
    of_extension: bool = False


async def read_overloads(connection: Any, schema_name: str) -> tuple[Overload, ...]:
    """The overloads in a schema, and the casts of the whole database; nothing but catalogs is read.

    Raises:
        asyncpg.PostgresError.
    """
    rows: list[asyncpg.Record] = await connection.fetch(REACHABLE, schema_name)
    return tuple(Overload(**row) for row in rows)
