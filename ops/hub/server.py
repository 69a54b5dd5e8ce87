"""An ASGI app served on loopback from a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from ops.errors import PortTaken
from ops.hub.connections import Connection

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
_MAX_HEAD = 64 * 1024
_TURNS_TO_CLOSE = 3
"""Turns of the event loop in which connections that are told to close have done so."""


class PromptServer(uvicorn.Server):
    """Ends as soon as it is told to; uvicorn's own looks ten times a second, for each Space."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def end(self) -> None:
        """Tell it, from any thread; may be called again."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: it has ended
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Until it is told, do once a second what uvicorn does then."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which waits a tenth of a second even when nobody is served any more."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()


class Served:
    """Listens from the start; answers between `start` and `stop`."""

    def __init__(self, port: int = 0, address: str = LOOPBACK):
        """Take a port, 0 for any free one, of an address of this machine; raises PortTaken."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # asyncio sends at once only where a socket names its protocol; else a reply in two pieces
        # waits 40 ms for the client's acknowledgement.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((address, port))
        except OSError as error:
            self._socket.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                raise
            raise PortTaken(
                f"Port {port} cannot be used on {address}: {error.strerror}.",
                next_step="Choose another with --port, or end what listens there.",
            ) from error
        self.origin = f"http://{_reached_by(address)}:{self._socket.getsockname()[1]}"
        self._server: PromptServer | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp) -> None:
        """Serve the app; returns when it answers."""
        server = self._server = PromptServer(
            uvicorn.Config(
                app,
                http=Connection,
                h11_max_incomplete_event_size=_MAX_HEAD,
                ws="none",  # as the proxy says, whatever library for them is installed
                # uvloop runs Python's at-fork hooks in the children that it starts: git would never
                # start while another thread holds a lock of the Hub's client, whose hook takes it.
                loop="asyncio",
                log_config=None,
                access_log=False,
                date_header=False,  # it may be a second behind, see the logs' handler
                server_header=False,  # an app has its own
                proxy_headers=False,  # nobody stands in front who could say where a request is from
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [self._socket]}, name=self.origin, daemon=True
        )
        self._thread.start()
        while not server.started and self._thread.is_alive():
            time.sleep(0.01)

    def end(self) -> None:
        """Begin to stop."""
        if self._server is not None:
            self._server.end()

    def stop(self) -> None:
        """End every connection and give the port back; may be called again."""
        self.end()
        if self._thread is not None:
            self._thread.join()
        self._socket.close()


def _reached_by(address: str) -> str:
    """The host of a URL for it; whoever listens on all addresses is reached by loopback's."""
    if address in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
        return LOOPBACK if address == "0.0.0.0" else "[::1]"  # noqa: S104
    return f"[{address}]" if ":" in address else address
