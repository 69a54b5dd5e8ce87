"""A server's open connections, so that one can be lost as a network loses it: without a word.

uvicorn answers 500 for an app that ends without a reply, which no client takes for a lost
connection; so the transport itself is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from typing import Any

_Ends = tuple[str, int, str, int]
_open: dict[_Ends, asyncio.Transport] = {}
"""By the addresses of both ends, which no two connections of this machine share."""


class Connection(H11Protocol):
    """A connection of uvicorn's that can be found by its request.

    By h11: httptools takes trailers for headers, however many, and ignores the body of a request
    that asks to upgrade, as `curl --http2` does.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._ends = _ends_of(transport)
        _open[self._ends] = transport

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: what uvicorn would have people install is of no use."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what isn't HTTP, unless an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        super().connection_lost(exc)
        _open.pop(self._ends, None)


def cut(scope: Mapping[str, Any], *, flush: bool = False) -> None:
    """End the connection of a request now; what was sent is delivered with `flush` only."""
    transport = _open.get((*scope["server"], *scope["client"]))
    if transport is None:
        return
    if flush:
        transport.close()
    else:
        transport.abort()


def _ends_of(transport: asyncio.Transport) -> _Ends:
    here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return (*here[:2], *there[:2])
