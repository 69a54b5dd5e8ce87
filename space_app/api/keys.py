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
        self._keys = [(key.name, key.key.encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def require(self, connection: HTTPConnection) -> str:
        """The name of the key that the request carries, "" where none is needed.

        Raises:
            InvalidKey: it carries none, or another.
        """
        if not self._keys:
            return ""
        presented = _presented(connection)
        if presented is None:
            raise InvalidKey(
                "An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY "
                "(in front of a private Space, which takes Authorization for itself)."
            )
        if (name := self._opened_by(presented)) is None:
            raise InvalidKey("The API key is not one of this server's.")
        return name

    def _opened_by(self, presented: str) -> str | None:
        """Compare with each key, in the same time whichever of them it is."""
        candidate = presented.encode("latin-1")
        names = [name for name, key in self._keys if hmac.compare_digest(candidate, key)]
        return names[0] if names else None


def _presented(connection: HTTPConnection) -> str | None:
    """X-API-Key decides where it is there: Authorization may hold the token for the Hub's proxy.

    LlamaIndex's client of TEI sends the bare key as Authorization.
    """
    if (key := connection.headers.get("x-api-key")) is not None:
        return key.strip()
    first, _, rest = connection.headers.get("authorization", "").strip().partition(" ")
    if not rest:
        return first or None
    return rest.strip() if first.lower() == "bearer" else None
