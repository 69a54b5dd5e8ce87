"""Handlers that say whose token it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from ops.hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield "/api/whoami-v2", ["GET"], whoami


def whoami(call: Call) -> Response:
    """GET /api/whoami-v2."""
    if call.caller is None:
        raise HubError(401, "Invalid username or password.")
    user = call.caller.user
    body = {
        "type": "user",
        "id": "1" * 24,
        "name": user.name,
        "fullname": user.name,
        "isPro": user.pro,
        "canPay": user.pro,
        "avatarUrl": "",
        "orgs": [
            {"type": "org", "id": "2" * 24, "name": name, "fullname": name, "avatarUrl": ""}
            for name in user.organisations
        ],
        "auth": {
            "type": "access_token",
            "accessToken": {
                "displayName": "local",
                "role": call.caller.role,
                "createdAt": "2026-01-01T00:00:00.000Z",
            },
        },
    }
    return JSONResponse(body)
