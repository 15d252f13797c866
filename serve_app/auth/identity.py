"""Who a credential stands for, and as whom one request of theirs is answered."""

from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers

from serve_app.contracts import Caller
from serve_app.errors import InvalidRequest, PermissionDenied, Unauthenticated


@dataclass(frozen=True)
class Identity:
    """Whom a credential stands for.

    ``all_organizations``: of every organization, so that without one named the rows of all are seen.
    ``credential_id`` names the credential in the audit log and is no secret. None of the limits: no limit.
    """

    user_id: str
    organizations: tuple[str, ...] = ()
    all_organizations: bool = False
    policy: str | None = None
    credential_id: str | None = None
    rate_per_minute: int | None = None
    daily_questions: int | None = None

    @property
    def limit_key(self) -> str:
        """Whose calls are counted together."""
        return self.credential_id or f"user {self.user_id}"


class Authenticator(Protocol):
    """Tells whose a request is, by its headers."""

    async def identify(self, headers: Headers) -> Identity:
        """Raises Unauthenticated if there is no credential, or none that holds."""
        ...


@dataclass(frozen=True)
class Access:
    """How requests become callers. ``mode`` none: nobody is asked, and the body says who asks."""

    mode: str = "none"
    policy: str = "default"
    require_organization: bool = True

    def caller(self, identity: Identity | None, user_id: str | None, organization_id: str | None) -> Caller:
        """The caller of one request. With a credential, ``user_id`` of the body means nothing.

        Raises:
            Unauthenticated: credentials are asked for and there is none.
            PermissionDenied: the organization is not one of the caller's, or the caller has none.
            InvalidRequest: the caller has several organizations and names none; or, without credentials, no
                user is named.
        """
        if self.mode == "none":
            if user_id is None:
                raise InvalidRequest("The request could not be read: user_id is required.")
            return Caller(user_id=user_id, organization_id=organization_id, policy=self.policy)
        if identity is None:
            raise Unauthenticated
        return Caller(
            user_id=identity.user_id,
            organization_id=self._organization(identity, organization_id),
            policy=identity.policy or self.policy,
            credential_id=identity.credential_id,
        )

    def _organization(self, identity: Identity, asked: str | None) -> str | None:
        own = identity.organizations
        if asked is not None:
            if asked in own or identity.all_organizations:
                return asked
            raise PermissionDenied(
                "You do not belong to that organization. Leave organization_id out, or name one of yours."
            )
        if identity.all_organizations:
            return None
        if len(own) == 1:
            return own[0]
        if own:
            raise InvalidRequest(
                f"You belong to {len(own)} organizations. Name one of them in organization_id."
            )
        if self.require_organization:
            raise PermissionDenied(
                "You belong to no organization here, so there is no data to show. Ask your administrator."
            )
        return None


def bearer_token(headers: Headers) -> str | None:
    """The token of an Authorization header; None if there is no such header.

    Raises:
        Unauthenticated: there are several, or it is of another kind.
    """
    given = headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].strip().partition(" ")
    token = token.strip()
    if len(given) > 1 or scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthenticated(
            "The Authorization header cannot be read. Send one: Authorization: Bearer <token>."
        )
    return token
