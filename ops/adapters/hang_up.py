"""Ends the reading of a reply that has no end: from another thread, and at once."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2


class HangUp:
    """Called once, by whoever does not want to hear more.

    Closing a reply does not wake the thread that waits for its next bytes, and a time limit short
    enough to notice would end quiet replies too; shutting the socket down does both.
    """

    def __init__(self) -> None:
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def __call__(self) -> None:
        """Whoever reads finds the connection lost; whoever `wait`s goes on."""
        with self._lock:
            self._done.set()
            self._shut_down()

    @property
    def is_done(self) -> bool:
        """Whether it was called."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep for so long, or until it is called; returns whether it was."""
        return self._done.wait(seconds)

    @contextmanager
    def reading(self, response: httpx2.Response) -> Iterator[None]:
        """While this reply is read, a call ends it."""
        with self._lock:
            self._socket = response.extensions["network_stream"].get_extra_info("socket")
            if self.is_done:
                self._shut_down()
        try:
            yield
        finally:
            with self._lock:
                self._socket = None

    def _shut_down(self) -> None:
        if self._socket is not None:
            # The other side may have ended it already.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
