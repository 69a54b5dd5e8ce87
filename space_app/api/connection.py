"""A client's connection: what it may cost before, between and behind its requests.

What isn't HTTP is answered in the one shape of errors too.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from space_app.api import errors
from space_app.api.framing import MAX_HEAD, Framing, Part
from space_app.api.unread import Unread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_HEAD_SECONDS = 20.0
_REFUSED_BODY_SECONDS = 10.0
"""For a client that sends its whole body before it reads the refusal."""

_MAX_CONNECTIONS = 800
"""Below what systems usually allow a process to open."""

_UNREAD_SECONDS = 10.0
"""Between two checks whether a client reads its answer."""

_FIRST_REQUEST_SECONDS = 1.0
"""For a client that has just connected when the server is stopped."""


class Connection(Framing):
    """One client's requests, one after another."""

    head_seconds = _HEAD_SECONDS
    refused_body_seconds = _REFUSED_BODY_SECONDS
    unread_seconds = _UNREAD_SECONDS
    max_connections = _MAX_CONNECTIONS

    idle_since = 0.0
    """By the monotonic clock; means something while nothing is being answered."""
    _reader: Unread
    _timer: asyncio.TimerHandle | None = None
    _hangs_up = False
    """When the body has ended."""
    _stops = False
    """After the request that is being received or answered."""
    _refusal: HTTPStatus | None = None
    """For when earlier requests are answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(transport)
        self._reader = Unread(transport, self.loop, seconds=self.unread_seconds)
        self.idle_since = time.monotonic()
        if len(self.connections) > self.max_connections:
            self._make_room()
        self._end_after(self.head_seconds, HTTPStatus.REQUEST_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._reader.end()
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if not self.transport.is_closing() and self._refusal is None:
            super().data_received(data)

    def after_reading(self) -> None:
        """Whoever began to send something has to go on."""
        if self.pipeline:
            self._go_on()
        elif self._timer is not None:
            return
        elif self.part is Part.BODY:
            if self.cycle.response_complete:
                self._end_after(self.refused_body_seconds, None)
        elif self.head_has_begun:
            self._end_after(self.head_seconds, HTTPStatus.REQUEST_TIMEOUT)
        elif (request := self.last_request) is not None and request.response_complete:
            # What came was the rest of an answered request, and uvicorn no longer waits.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        super().on_headers_complete()
        if self.part is Part.BODY:
            self._go_on()
            patient = _Patient(self.transport, self.hang_up, self._reader)
            self.cycle.transport = cast("asyncio.Transport", patient)
            self.cycle.keep_alive &= not self._stops

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.part is Part.BODY:
            self._go_on()
        super().on_message_complete()
        if self._hangs_up:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Called by uvicorn."""
        super().on_response_complete()
        self.idle_since = time.monotonic()
        if self._refusal is not None:
            self.refuse(self._refusal)

    @property
    def idle(self) -> bool:
        """Whether every request is answered and sent. The head of one may be arriving."""
        request = self.last_request
        answered = request is None or request.response_complete
        waiting = self.transport.is_closing() or self.transport.get_write_buffer_size()
        return answered and not waiting

    def hang_up(self) -> None:
        """Close the connection, but not before the client has sent what it is sending.

        What is not read when a connection is closed resets it, and the answer is lost on the way.
        """
        if self.part is not Part.BODY:
            self.transport.close()
        else:
            self._hangs_up = True
            self._end_after(self.refused_body_seconds, None)

    def shutdown(self) -> None:
        """Called by uvicorn when the server is stopped: what has arrived is still answered."""
        self._stops = True
        request = self.last_request
        if request is not None and not request.response_complete:
            request.keep_alive = False
        elif self.part is Part.NONE and not self.head_has_begun:
            # Idle. A client's first request may still be on its way.
            if request is None:
                self._end_after(_FIRST_REQUEST_SECONDS, None)
            else:
                self.transport.close()

    def give_up(self) -> None:
        """End it at once, with a refusal where no answer has begun."""
        self._refusal = None
        request = self.last_request
        if request is None or request.response_started or self.pipeline:
            self.transport.abort()
        else:
            self.transport.write(_refusal(HTTPStatus.SERVICE_UNAVAILABLE))
            self.transport.close()

    def refuse(self, status: HTTPStatus | None) -> None:
        """Hang up, and say why unless that would be in the middle of an answer, or behind it."""
        if self.transport.is_closing():
            return
        request, in_body = self.last_request, self.part is Part.BODY
        if self.pipeline if in_body else request is not None and not request.response_complete:
            # Earlier requests come first.
            self._refusal = status
            self._go_on()
            self.flow.hold()
            return
        if status is not None and not (
            in_body and request is not None and request.response_started
        ):
            self.transport.write(_refusal(status))
        self.transport.close()

    def _make_room(self) -> None:
        """Abort the connection that has been idle for longest, other than this one."""
        others = [each for each in self.connections if each is not self]
        idle = [each for each in others if isinstance(each, Connection) and each.idle]
        if idle:
            min(idle, key=lambda each: each.idle_since).transport.abort()

    def _end_after(self, seconds: float, status: HTTPStatus | None) -> None:
        self._go_on()
        self._timer = self.loop.call_later(seconds, self.refuse, status)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Patient:
    """The transport of one answer, which is closed in another way; all else is its own."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None], reader: Unread):
        self._transport = transport
        self._reader = reader
        self.close = close

    def write(self, data: bytes) -> None:
        """Called by uvicorn."""
        self._reader.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_WORDS = {
    HTTPStatus.BAD_REQUEST: ("invalid_http", "The request is not valid HTTP."),
    HTTPStatus.REQUEST_TIMEOUT: ("timeout", "The head of the request did not arrive in time."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "headers_too_large",
        f"The request's headers, trailers or chunk extensions exceed {MAX_HEAD // 1024} kB.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "stopping",
        "The server is being stopped: try again in a moment.",
    ),
}


def _refusal(status: HTTPStatus) -> bytes:
    """A whole answer."""
    body = bytes(errors.response(status, *_WORDS[status]).body)
    retry = b"retry-after: 5\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else b""
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b"
        b"connection: close\r\n\r\n%b" % (status, status.phrase.encode(), len(body), retry, body)
    )
