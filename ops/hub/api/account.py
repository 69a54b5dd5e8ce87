"""Handlers that say whose token it is."""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from ops.hub.errors import not_logged_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.accounts import Caller, Grant, Organisation, OrgRole
    from ops.hub.api.call import Call, Route

_CREATED = "2026-01-01T00:00:00.000Z"


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield "/api/whoami-v2", ["GET"], whoami


def whoami(call: Call) -> Response:
    """GET /api/whoami-v2, with the properties that the OpenAPI description has."""
    if call.caller is None:
        raise not_logged_in()
    user, known = call.caller.user, call.hub.accounts.organisations
    return JSONResponse(
        {
            "type": "user",
            "id": _id("user", user.name),
            "name": user.name,
            "fullname": user.name,
            "isPro": user.pro,
            "canPay": user.pro,
            "emailVerified": True,
            "avatarUrl": "",
            "orgs": [_organisation(known[name], role) for name, role in user.organisations.items()],
            "auth": _auth(call.caller),
        }
    )


def _organisation(organisation: Organisation, role: OrgRole) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "org",
        "id": _id("org", organisation.name),
        "name": organisation.name,
        "fullname": organisation.name,
        "canPay": organisation.plan is not None,
        "avatarUrl": "",
        "roleInOrg": role,
    }
    return body | ({"plan": organisation.plan} if organisation.plan is not None else {})


def _auth(caller: Caller) -> dict[str, Any]:
    grant = caller.grant
    token: dict[str, Any] = {
        "displayName": grant.name,
        "role": grant.role,
        "createdAt": _CREATED,
    }
    if grant.role == "fineGrained":
        token["fineGrained"] = _scopes(grant)
    body = {"type": "access_token", "accessToken": token}
    if grant.expires is not None:
        expires = grant.expires.astimezone(UTC).isoformat(timespec="milliseconds")
        body["expiresAt"] = expires.replace("+00:00", "Z")
    return body


def _scopes(grant: Grant) -> dict[str, Any]:
    return {
        "canReadGatedRepos": False,
        "global": [],
        "scoped": [
            {
                "entity": {"_id": _id(s.entity, s.name), "type": s.entity, "name": s.name},
                "permissions": list(s.permissions),
            }
            for s in grant.scopes
        ],
    }


def _id(entity: str, name: str) -> str:
    """The same 24 digits for the same thing, as the Hub's database has them."""
    return hashlib.sha256(f"{entity} {name}".encode()).hexdigest()[:24]
