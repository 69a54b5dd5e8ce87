"""People, organisations and tokens of a local Hub, and what a caller may see and change.

Roles, plans and the form of a fine-grained token's scopes are those of `GET /api/whoami-v2` in the
Hub's published OpenAPI description; what a role allows is as huggingface.co's documentation of
User Access Tokens and of organisations' access control has it.
"""

from __future__ import annotations

import base64
import hmac
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Role = Literal["read", "write", "fineGrained"]
Plan = Literal["team", "enterprise", "plus", "academia"]
OrgRole = Literal["admin", "write", "contributor", "read", "no_access"]
Entity = Literal["user", "org", "model", "dataset", "space"]

READ_PERMISSION = "repo.content.read"
WRITE_PERMISSION = "repo.write"
_WRITERS: frozenset[OrgRole] = frozenset({"admin", "write", "contributor"})
"""A contributor may change what they made themselves; who made what is not kept here."""


@dataclass(frozen=True)
class Scope:
    """What a fine-grained token may do with one repository, or with all of an owner's."""

    entity: Entity
    name: str
    permissions: tuple[str, ...]

    def covers(self, owner: str, kind: str, name: str) -> bool:
        """Whether it speaks of that repository; `kind` is `spaces`, `models` or `datasets`."""
        if self.entity in ("user", "org"):
            return self.name == owner
        return (f"{self.entity}s", self.name) == (kind, f"{owner}/{name}")


@dataclass(frozen=True)
class Grant:
    """What a token allows: all that its user may read or write, or its scopes alone."""

    role: Role
    scopes: tuple[Scope, ...] = ()
    name: str = "local"
    expires: datetime | None = None

    def allows(self, permission: str, owner: str, kind: str, name: str) -> bool:
        """Whether the token has that permission; the rights of its user are another matter."""
        if self.role != "fineGrained":
            return self.role == "write" or permission == READ_PERMISSION
        granted = {p for s in self.scopes if s.covers(owner, kind, name) for p in s.permissions}
        if permission == READ_PERMISSION and WRITE_PERMISSION in granted:
            return True
        return permission in granted


@dataclass(frozen=True)
class User:
    """A person with tokens. `pro` is the paid plan that a Docker Space needs."""

    name: str
    tokens: Mapping[str, Role | Grant] = field(repr=False)
    pro: bool = True
    organisations: Mapping[str, OrgRole] = field(default_factory=dict)

    def owns(self, namespace: str) -> bool:
        """Whether they see that namespace's private repositories."""
        role = self.organisations.get(namespace, "no_access")
        return namespace == self.name or role != "no_access"

    def writes(self, namespace: str) -> bool:
        """Whether they may change that namespace's repositories."""
        return namespace == self.name or self.organisations.get(namespace) in _WRITERS


@dataclass(frozen=True)
class Organisation:
    """A namespace that several people share; a plan of its own allows Docker Spaces."""

    name: str
    plan: Plan | None = None


@dataclass(frozen=True)
class Caller:
    """Who sends a request, by which token."""

    user: User
    grant: Grant

    @property
    def role(self) -> Role:
        """The token's."""
        return self.grant.role

    def may_read(self, owner: str, kind: str, name: str) -> bool:
        """Whether they may see that repository when it is private."""
        return self.user.owns(owner) and self.grant.allows(READ_PERMISSION, owner, kind, name)

    def may_write(self, owner: str, kind: str = "", name: str = "") -> bool:
        """Whether they may change that repository; without one, all of the owner's."""
        return self.user.writes(owner) and self.grant.allows(WRITE_PERMISSION, owner, kind, name)


class Accounts:
    """Everybody whom a Hub knows; tokens come and go while it runs."""

    def __init__(self, users: Sequence[User], organisations: Sequence[Organisation] = ()):
        self.users = tuple(users)
        self.organisations = {o.name: o for o in organisations}
        for user in users:
            for name in user.organisations:
                self.organisations.setdefault(name, Organisation(name))
        self._lock = threading.Lock()
        self._tokens = {
            token: Caller(user, grant if isinstance(grant, Grant) else Grant(grant))
            for user in users
            for token, grant in user.tokens.items()
        }

    def caller(self, token: str | None) -> Caller | None:
        """Whose token this is; every token is compared, so that timing tells nothing."""
        found = None
        with self._lock:
            tokens = list(self._tokens.items())
        for known, caller in tokens:
            if hmac.compare_digest((token or "").encode(), known.encode()):
                found = caller
        if found is not None and _is_over(found.grant.expires):
            return None
        return found

    def grant(self, user: str, token: str, grant: Grant) -> None:
        """Make a token for somebody who has an account."""
        owner = next(known for known in self.users if known.name == user)
        with self._lock:
            self._tokens[token] = Caller(owner, grant)

    def revoke(self, token: str) -> None:
        """Forget a token: from now on it is nobody's."""
        with self._lock:
            self._tokens.pop(token, None)

    def pays(self, namespace: str) -> bool:
        """Whether a user or an organisation has a paid plan."""
        organisation = self.organisations.get(namespace)
        if organisation is not None:
            return organisation.plan is not None
        return any(user.pro for user in self.users if user.name == namespace)


def bearer(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def basic(header: str | None) -> str | None:
    """The token of an `Authorization: Basic …` header, where git puts it as the password.

    Whatever cannot be read is no token of anybody's, rather than none.
    """
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, or no UTF-8
        return ""
    return password


def credentials(header: str | None) -> str | None:
    """The token of an `Authorization` header of either kind; None when there is none."""
    return bearer(header) or basic(header)


def _is_over(moment: datetime | None) -> bool:
    return moment is not None and moment <= datetime.now(UTC)
