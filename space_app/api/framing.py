"""From bytes to requests: nothing that isn't a body may grow, whatever it is called.

httptools hands out trailers as headers, ignores the body of a request that asks to upgrade, and
tells nothing of chunk extensions. So bytes reach it a small piece at a time, and are counted here.
"""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MAX_HEAD = 64 * 1024
_PIECE = 8 * 1024
_CHUNKS_AT_ONCE = 500
"""Of a body, before others get a turn: chunks may be one byte long."""

_NO_VERSION = "0.9"
_PER_LINE = len(b": \r\n")
_PER_CHUNK = 16
_PER_BYTE = 3
"""What a body's framing may cost: a chunk of one byte takes six."""


class Part(Enum):
    """What of a request is expected next."""

    NONE = 0
    HEAD = 1
    BODY = 2


class _Refused(Exception):
    """Ends the parsing, from within the parser or after it."""


class Framing(HttpToolsProtocol):
    """uvicorn's connection, which reads no further than it must.

    Upgrades are declined: the request is answered over HTTP/1.1 (RFC 9110, 7.8).
    """

    max_head = MAX_HEAD

    part = Part.NONE
    _overhead = 0
    """Bytes of the head, or of a body's framing beyond what its chunks need."""
    _upgrade: tuple[bytes, str] | None = None
    """Method and version of a request whose head is read again, without its Upgrade."""
    _unparsed = b""
    """What comes behind requests that wait for their turn, or behind many chunks."""
    _chunks = 0
    _fault = HTTPStatus.BAD_REQUEST
    """Why parsing has ended, where it has."""
    flow: _Flow

    @property
    def head_has_begun(self) -> bool:
        """Whether something of the next head is there, be it an empty line."""
        return self.part is Part.HEAD or (self.part is Part.NONE and self._overhead > 0)

    @property
    def last_request(self) -> RequestResponseCycle | None:
        """The newest one; uvicorn's types forget that there may be none."""
        return self.cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(transport)
        self.flow = _Flow(transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._unparsed += data
        self._read()

    def refuse(self, status: HTTPStatus) -> None:
        """Answer with an error and hang up."""
        raise NotImplementedError

    def after_reading(self) -> None:
        """Called when what has arrived is parsed."""

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self.transport.is_closing():
            raise _Refused
        super().on_message_begin()
        self.part = Part.HEAD

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers too, which nobody here asks for."""
        if self.part is Part.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._check_head()
        if self.parser.should_upgrade():
            self._upgrade = self.parser.get_method(), self.parser.get_http_version()
            if self._upgrade[0] == b"CONNECT":
                raise _Refused  # a proxy is what's meant
            return
        super().on_headers_complete()
        self.part, self._overhead = Part.BODY, 0

    def on_chunk_header(self) -> None:
        """Called by the parser."""
        self._overhead -= _PER_CHUNK
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._overhead -= _PER_BYTE * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._upgrade is None:
            self.part, self._overhead = Part.NONE, 0
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called by uvicorn."""
        super().on_response_complete()
        self._read_on()

    def _read_on(self) -> None:
        if self.flow.held and not self.pipeline and not self.transport.is_closing():
            self.flow.release()
            self._read()

    def _read(self) -> None:
        """Parse what has arrived, as long as no request waits behind another."""
        self._unset_keepalive_if_required()
        rest, self._unparsed, self._chunks = memoryview(self._unparsed), b"", 0
        try:
            while rest and not self._has_enough():
                rest = rest[self._feed(rest[:_PIECE]) :]
        except _Refused:
            self.logger.warning("Refused a request: %s", self._fault.phrase)
            self.refuse(self._fault)
            return
        if self.transport.is_closing():
            return
        if rest or self.pipeline:
            self.flow.hold()
            self._unparsed = bytes(rest)
            self.loop.call_soon(self._read_on)
        self.after_reading()

    def _has_enough(self) -> bool:
        return bool(self.pipeline) or self._chunks > _CHUNKS_AT_ONCE or self.transport.is_closing()

    def _feed(self, piece: memoryview) -> int:
        """Returns how many bytes of the piece are parsed."""
        self._overhead += len(piece)
        parsed = self._parse(piece)
        if self._upgrade is not None:
            # The old one takes nothing more where the connection is to be closed.
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._parse(self._head_without_upgrade(*self._upgrade))
        self._overhead = max(self._overhead, 0)
        self._check_overhead(self._overhead)
        return parsed

    def _parse(self, data: bytes | memoryview) -> int:
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return int(upgrade.args[0])
        except HttpParserError:
            raise _Refused from None
        return len(data)

    def _head_without_upgrade(self, method: bytes, version: str) -> bytes:
        self._upgrade = None
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))

    def _check_overhead(self, size: int) -> None:
        if size > self.max_head:
            self._fault = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _Refused

    def _check_head(self) -> None:
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value) + _PER_LINE
            hosts += name == b"host"
        self._check_overhead(size)
        version = self.parser.get_http_version()
        # RFC 9112, 3.2: whoever stands in front may have read another host.
        if hosts != 1 and (hosts or version == "1.1"):
            raise _Refused
        if version == _NO_VERSION:
            raise _Refused
        if version == "1.0":  # RFC 9110, 10.1.1
            self.expect_100_continue = False


class _Flow(FlowControl):
    """Reading that nobody may resume meanwhile."""

    held = False

    def hold(self) -> None:
        """Pause reading, until `release`."""
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        """Go on."""
        self.held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Called by uvicorn, each time that a body is wanted."""
        if not self.held:
            super().resume_reading()
