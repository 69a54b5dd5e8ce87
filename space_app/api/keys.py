"""API keys: whether a request may in."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from space_app.core.errors import InvalidKey

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from space_app.settings import ApiKey


class Keys:
    """The keys that open the server; with none of them it is open."""

    def __init__(self, keys: tuple[ApiKey, ...]):
        self._keys = [key.key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def require(self, connection: HTTPConnection) -> None:
        """Raise InvalidKey unless the request carries one of the keys."""
        if not self._keys:
            return
        presented = _presented(connection)
        if presented is None:
            raise InvalidKey(
                "An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY "
                "(in front of a private Space, which takes Authorization for itself)."
            )
        if not self._opens(presented):
            raise InvalidKey("The API key is not one of this server's.")

    def _opens(self, presented: str) -> bool:
        """Compare with each key, in the same time whichever of them it is."""
        candidate = presented.encode("latin-1")
        matches = [hmac.compare_digest(candidate, key) for key in self._keys]
        return any(matches)


def _presented(connection: HTTPConnection) -> str | None:
    """X-API-Key decides where it is there: Authorization may hold the token for the Hub's proxy."""
    if (key := connection.headers.get("x-api-key")) is not None:
        return key.strip()
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
