"""A request's body that is too large to be held, in pieces worth a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from ops.hub.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

_PIECE = 1024 * 1024


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """The body; raises HubError (400) when the client is gone before its end."""
    piece = bytearray()
    try:
        async for chunk in request.stream():
            piece += chunk
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
    except ClientDisconnect as error:
        raise bad_request("The request broke off") from error
    yield bytes(piece)
