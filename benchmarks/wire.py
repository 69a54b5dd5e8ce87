"""A lean HTTP/1.1 client for loopback: one kept-alive connection, whole replies.

A full client library costs a millisecond of CPU a request, which the server's cores would pay.
"""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from typing import Self

OK = 200
TOO_MANY = 429
_LINE = b"\r\n"
_END = _LINE * 2
_PIECE = 1 << 18


class WireError(Exception):
    """The server hung up, or answered in a way that this client does not read."""


@dataclass(frozen=True)
class Reply:
    """A whole reply."""

    status: int
    head: bytes
    body: bytes

    @property
    def retry_after(self) -> float:
        """Seconds that a refusal asks to wait; 1 when it does not say."""
        return float(_header(self.head, b"retry-after") or 1)

    @property
    def compute(self) -> float:
        """Seconds that the server says it computed, by its Server-Timing."""
        found = re.search(rb"compute;dur=([0-9.]+)", _header(self.head, b"server-timing") or b"")
        if found is None:
            raise WireError("the reply does not say how long it was computed")
        return float(found[1]) / 1000


class Connection:
    """One connection to a server on this machine."""

    def __init__(self, port: int, timeout: float = 600):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: bytes) -> Reply:
        """Send a request and read its reply; raises WireError or OSError."""
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(_END)) < 0:
            self._read(received)
        head, start = bytes(received[:end]), end + len(_END)
        if _header(head, b"transfer-encoding") == b"chunked":
            body = self._chunks(received, start)
        else:
            length = _length(head)
            self._read_until(received, start + length)
            body = bytes(received[start:])
        return Reply(int(head[9:12]), head, body)

    def _chunks(self, received: bytearray, start: int) -> bytes:
        """A body in chunks: its size in hexadecimal digits, a line end, the chunk, a line end."""
        body = bytearray()
        while True:
            while (end := received.find(_LINE, start)) < 0:
                self._read(received)
            size = int(received[start:end], 16)
            start = end + len(_LINE)
            self._read_until(received, start + size + len(_LINE))
            if not size:
                return bytes(body)
            body += received[start : start + size]
            start += size + len(_LINE)

    def _read_until(self, received: bytearray, whole: int) -> None:
        while len(received) < whole:
            self._read(received)

    def _read(self, received: bytearray) -> None:
        piece = self._socket.recv(_PIECE)
        if not piece:
            raise WireError("the server closed the connection")
        received += piece


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, content: object) -> bytes:
    """A POST request of JSON."""
    body = json.dumps(content).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _length(head: bytes) -> int:
    stated = _header(head, b"content-length")
    if stated is None:
        raise WireError("the reply does not state its length")
    return int(stated)


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(_LINE)[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None
