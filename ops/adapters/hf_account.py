"""Whose a token is and what it may do, as the Hub tells it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,96}$")]
"""A user's or an organisation's, which becomes part of addresses."""

_READERS = frozenset({"read", "no_access"})


@dataclass(frozen=True)
class Scope:
    """What a fine-grained token may do with an entity: a repository, or all of an owner's."""

    kind: str
    name: str
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """Who a token belongs to. `role` is read, write, god or fineGrained.

    `paying` are the names, the user's or an organisation's, that have a paid plan; `reading` the
    organisations where the user may change nothing; `scopes` those of a fine-grained token.
    """

    name: Name
    role: str
    organisations: tuple[Name, ...]
    paying: frozenset[str] = frozenset()
    reading: frozenset[str] = frozenset()
    scopes: tuple[Scope, ...] = ()

    def full_name(self, repo_id: str) -> str:
        """`owner/name`; a name alone is one of the user's own."""
        return repo_id if "/" in repo_id else f"{self.name}/{repo_id}"


def account_of(who: dict[str, Any]) -> Account:
    """What `GET /api/whoami-v2` tells, by the Hub's OpenAPI description."""
    token = who.get("auth", {}).get("accessToken", {})
    organisations = who.get("orgs", ())
    paying = {org["name"] for org in organisations if org.get("plan")}
    return Account(
        name=who["name"],
        role=token.get("role", "unknown"),
        organisations=tuple(org["name"] for org in organisations),
        paying=frozenset(paying | ({who["name"]} if who.get("isPro") else set())),
        reading=frozenset(org["name"] for org in organisations if org.get("roleInOrg") in _READERS),
        scopes=tuple(
            Scope(
                scope["entity"]["type"],
                scope["entity"].get("name", ""),
                tuple(scope["permissions"]),
            )
            for scope in token.get("fineGrained", {}).get("scoped", ())
        ),
    )
