"""People, organisations and tokens of a local Hub, and what a caller may see and change."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Role = Literal["read", "write"]


@dataclass(frozen=True)
class User:
    """A person with tokens. `pro` is the paid plan that a Docker Space needs."""

    name: str
    tokens: Mapping[str, Role] = field(repr=False)
    pro: bool = True
    organisations: tuple[str, ...] = ()

    def owns(self, namespace: str) -> bool:
        """Whether repositories of this namespace are theirs."""
        return namespace == self.name or namespace in self.organisations


@dataclass(frozen=True)
class Caller:
    """Who sends a request, by which kind of token."""

    user: User
    role: Role

    def may_write(self, namespace: str) -> bool:
        """Whether they may change that namespace's repositories."""
        return self.role == "write" and self.user.owns(namespace)


@dataclass(frozen=True)
class Accounts:
    """Everybody whom a Hub knows."""

    users: Sequence[User]

    def caller(self, token: str | None) -> Caller | None:
        """Whose token this is; every token is compared, so that timing tells nothing."""
        found = None
        for user in self.users:
            for known, role in user.tokens.items():
                if hmac.compare_digest((token or "").encode(), known.encode()):
                    found = Caller(user, role)
        return found


def bearer(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
