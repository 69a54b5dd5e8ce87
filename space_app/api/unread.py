"""Ends connections whose clients don't read: their answers would be kept in memory for ever."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Unread:
    """Aborts a connection of which nothing was read between two checks.

    A slow client goes on, as long as it reads something each time.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, seconds: float
    ):
        self.written = 0
        """Bytes of answers; whoever writes them counts them."""
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._check(None)

    def end(self) -> None:
        """Check no more: the connection is lost."""
        self._next.cancel()

    def _check(self, before: int | None) -> None:
        """`before` is how much the client had by the last check, None where it had everything."""
        read = None
        if waiting := self._transport.get_write_buffer_size():
            read = self.written - waiting - _unacknowledged(self._transport)
            if read == before:
                _reset(self._transport)
                return
        self._next = self._loop.call_later(self._seconds, self._check, read)


def _reset(transport: asyncio.Transport) -> None:
    """Close the connection at once, and have the kernel drop what it holds."""
    at_once = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    transport.abort()


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the kernel holds, because the client's has not confirmed them.

    It holds megabytes and takes more only when a third is free: for a slow reader, that is seldom.
    """
    found = bytes(4)
    # Not every system says; the megabytes then count as read.
    with suppress(OSError):
        found = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, found)
    return int(struct.unpack("i", found)[0])
