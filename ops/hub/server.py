"""An ASGI app served on loopback from a thread of its own."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from ops.errors import PortTaken

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_HOST = "127.0.0.1"


class Served:
    """Listens from the start; answers between `start` and `stop`."""

    def __init__(self, port: int = 0):
        """Take a port, 0 for any free one; raises PortTaken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((_HOST, port))
        except OSError as error:
            self._socket.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise PortTaken(
                f"Port {port} cannot be used: {error.strerror}.",
                next_step="Choose another with --port, or end what listens there.",
            ) from error
        self.origin = f"http://{_HOST}:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp) -> None:
        """Serve the app; returns when it answers."""
        server = self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                date_header=False,  # it may be a second behind, see the logs' handler
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [self._socket]}, name=self.origin, daemon=True
        )
        self._thread.start()
        while not server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        """End every connection and give the port back; may be called again."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()
