"""uvicorn's connection, with limits to what it has none for.

They are for heads of requests, and for bodies that go on after they were refused. What is no HTTP
is answered in the one shape of errors too.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from space_app.api import errors
from space_app.api.unread import Unread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_MAX_HEAD = 64 * 1024
_HEAD_SECONDS = 20.0
_REFUSED_BODY_SECONDS = 10.0
"""For a client that sends its whole body before it reads the refusal."""

_MAX_CONNECTIONS = 800
"""Below what systems usually allow a process to open."""

_UNREAD_SECONDS = 10.0
"""Between two checks whether a client reads its answer."""


class Connection(HttpToolsProtocol):
    """One client's requests, one after another."""

    max_head = _MAX_HEAD
    head_seconds = _HEAD_SECONDS
    refused_body_seconds = _REFUSED_BODY_SECONDS
    unread_seconds = _UNREAD_SECONDS
    max_connections = _MAX_CONNECTIONS

    idle_since = 0.0
    """By the monotonic clock; means something while nothing is being answered."""
    _unread: Unread
    _head: int | None = 0
    """Bytes of the head that is being received, None while none is."""
    _timer: asyncio.TimerHandle | None = None
    _body_ended = True
    _hangs_up = False
    """When the body has ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(transport)
        self._unread = Unread(transport, self.loop, seconds=self.unread_seconds)
        self.idle_since = time.monotonic()
        if len(self.connections) > self.max_connections:
            self._make_room()
        self._end_after(self.head_seconds, HTTPStatus.REQUEST_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._unread.end()
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > self.max_head:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._timer is None:
                self._end_after(self.head_seconds, HTTPStatus.REQUEST_TIMEOUT)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._go_on()
        self._head = None
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.max_head:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self._body_ended = False
        super().on_headers_complete()
        patient = _Patient(self.transport, self.hang_up, self._unread)
        self.cycle.transport = cast("asyncio.Transport", patient)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if self.transport.is_closing():
            return
        if self.cycle.response_complete and self._timer is None:
            self._end_after(self.refused_body_seconds, None)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.transport.is_closing():
            return
        self._go_on()
        self._body_ended = True
        super().on_message_complete()
        if self._hangs_up:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Called by uvicorn."""
        super().on_response_complete()
        self.idle_since = time.monotonic()

    def _make_room(self) -> None:
        """Abort the connection that has been idle for longest, other than this one."""
        others = [each for each in self.connections if each is not self]
        idle = [each for each in others if isinstance(each, Connection) and each.idle]
        if idle:
            min(idle, key=lambda each: each.idle_since).transport.abort()

    @property
    def idle(self) -> bool:
        """Whether every request is answered and sent. The head of one may be arriving."""
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is None or cycle.response_complete
        waiting = self.transport.is_closing() or self.transport.get_write_buffer_size()
        return answered and not waiting

    def hang_up(self) -> None:
        """Close the connection, but not before the client has sent what it is sending.

        What is not read when a connection is closed resets it, and the answer is lost on the way.
        """
        if self._body_ended:
            self.transport.close()
        else:
            self._hangs_up = True
            self._end_after(self.refused_body_seconds, None)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words
        """Called by uvicorn for what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    @property
    def _answering(self) -> bool:
        """Whether an answer has begun and not ended."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _end_after(self, seconds: float, status: HTTPStatus | None) -> None:
        self._go_on()
        self._timer = self.loop.call_later(seconds, self._refuse, status)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus | None) -> None:
        """Hang up, and say why unless that would be in the middle of an answer."""
        if self.transport.is_closing():
            return
        if status is not None and not self._answering:
            self.transport.write(_refusal(status))
        self.transport.close()


class _Patient:
    """The transport of one answer, which is closed in another way; all else is its own."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None], unread: Unread):
        self._transport = transport
        self._unread = unread
        self.close = close

    def write(self, data: bytes) -> None:
        """Called by uvicorn."""
        self._unread.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_WORDS = {
    HTTPStatus.BAD_REQUEST: ("invalid_http", "The request is not valid HTTP."),
    HTTPStatus.REQUEST_TIMEOUT: ("timeout", "The head of the request did not arrive in time."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "headers_too_large",
        f"The head of the request is larger than {_MAX_HEAD // 1024} kB.",
    ),
}


def _refusal(status: HTTPStatus) -> bytes:
    """A whole answer."""
    body = bytes(errors.response(status, *_WORDS[status]).body)
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%b" % (status, status.phrase.encode(), len(body), body)
    )
