"""Whose rows a statement reads: a database login for each organization, and what belongs to each login.

The organization of a caller chooses the login, and row-level security of the database goes by who logged
in. A statement has no way to log in again, so no statement chooses its rows.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from deployments.executor.config import ORGANIZATION_PLACE
from deployments.executor.pool import NO_ORGANIZATION_LOGIN, ConnectionPool
from deployments.sql_validator.policy import Policies, UnknownPolicy
from deployments.sql_validator.visibility import visible_schema
from serve_app.contracts import SchemaSnapshot
from serve_app.errors import PermissionDenied
from serve_app.schema_cache import SchemaCache

NO_POLICY = "Your access rights are not set up. Ask your administrator."
# An id becomes part of a role's name, which PostgreSQL bounds to 63 bytes.
SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Login(Protocol):
    """Where to log in for an organization's rows."""

    def __call__(self, organization_id: str | None) -> str | None:
        """The DSN for an organization; that of the reader for None; None if the organization has no login."""
        ...


@dataclass(frozen=True, repr=False)
class ListedLogins:
    """Organizations with a DSN each."""

    reader: str
    organizations: Mapping[str, str]

    def __call__(self, organization_id: str | None) -> str | None:
        return self.reader if organization_id is None else self.organizations.get(organization_id)


@dataclass(frozen=True, repr=False)
class RoleLogins:
    """Roles named by a template or a list, on the reader's server and database.

    Their passwords come from a password file, as libpq reads it.
    """

    reader: str
    roles: str | Mapping[str, str]

    def __call__(self, organization_id: str | None) -> str | None:
        if organization_id is None:
            return self.reader
        role = self._role(organization_id)
        return None if role is None else with_user(self.reader, role)

    def _role(self, organization_id: str) -> str | None:
        if not isinstance(self.roles, str):
            return self.roles.get(organization_id)
        return (
            self.roles.replace(ORGANIZATION_PLACE, organization_id)
            if SAFE_ID.fullmatch(organization_id)
            else None
        )


def with_user(dsn: str, user: str) -> str:
    """The DSN with another user and no password."""
    parts = urlsplit(dsn)
    _, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}@{place}"))


@dataclass(frozen=True, repr=False)
class ReaderOnly:
    """A database without row-level security by organization: everyone reads as the one role."""

    reader: str

    def __call__(self, organization_id: str | None) -> str | None:
        return self.reader


def logins(
    reader: str,
    embedded: Mapping[str, str] | None,
    roles: str | Mapping[str, str] | None,
) -> Login:
    """The logins that there are: the embedded database's, those of the settings, or the reader alone."""
    if embedded is not None:
        return ListedLogins(reader, embedded)
    return RoleLogins(reader, roles) if roles is not None else ReaderOnly(reader)


@dataclass(frozen=True)
class AccessRules:
    """Who reads what.

    ``strict``: an organization without a login is refused; else it is only a label and reads what the reader
    sees, which is right only where nobody is asked who they are. Without ``policies`` all columns are seen.
    """

    login: Login
    strict: bool = False
    passfile: Path | None = None
    policies: Policies | None = None

    def visible(self, snapshot: SchemaSnapshot, policy: str) -> SchemaSnapshot:
        """What the policy leaves of a schema.

        Raises:
            PermissionDenied: there is no such policy.
        """
        if self.policies is None:
            return snapshot
        try:
            return visible_schema(snapshot, self.policies.rights(policy, snapshot))
        except UnknownPolicy as error:
            raise PermissionDenied(NO_POLICY, detail=str(error)) from error


@dataclass(frozen=True)
class Access:
    """What belongs to one login: its connections, and the schema with the values it may see."""

    pool: ConnectionPool
    schema: SchemaCache


class Accesses:
    """The access of each organization, opened when first asked for; the least recently used are closed."""

    def __init__(
        self,
        login: Login,
        make: Callable[[str, bool], Access],
        most: int,
        strict: bool,
    ) -> None:
        """``make(dsn, is_organization)`` opens nothing yet; ``strict`` as in `AccessRules`."""
        self._login = login
        self._make = make
        self._most = most
        self._strict = strict
        self._reader_dsn = login(None) or ""
        self.reader = make(self._reader_dsn, False)
        self._others: OrderedDict[str, Access] = OrderedDict()

    def of(self, organization_id: str | None) -> Access:
        """The access for a caller's organization.

        Raises:
            PermissionDenied: the organization has no login.
        """
        if organization_id is None:
            return self.reader
        dsn = self._login(organization_id)
        if dsn is None:
            if self._strict:
                raise PermissionDenied(NO_ORGANIZATION_LOGIN, detail="no role for the organization")
            return self.reader
        if dsn == self._reader_dsn:
            return self.reader
        access = self._others.get(organization_id)
        if access is None:
            access = self._others[organization_id] = self._make(dsn, True)
        self._others.move_to_end(organization_id)
        while len(self._others) > self._most:
            _, oldest = self._others.popitem(last=False)
            oldest.pool.close_later()
        return access

    def all(self) -> tuple[Access, ...]:
        return (self.reader, *self._others.values())

    async def close(self) -> None:
        for access in self.all():
            await access.pool.close()
