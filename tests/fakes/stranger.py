"""A server that answers byte by byte whatever a test wants, and keeps what it was asked."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_OF_A_CONNECTION = (
    "connection", "content-encoding", "content-length", "date", "expect", "host", "server",
    "transfer-encoding",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Stranger:
    """A running server: where it listens, and what came."""

    origin: str
    asked: list[Asked] = field(default_factory=list)
    sent: int = 0

    @property
    def everything(self) -> str:
        """All that anybody sent, in one text."""
        return "\n".join(f"{a.method} {a.path} {a.headers} {a.body!r}" for a in self.asked)


def reply(content: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; `Content_Type` is the header Content-Type."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items())]
    if "Transfer-Encoding" not in named:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + content


def chunk(content: bytes) -> bytes:
    """A part of an answer with the header `Transfer-Encoding: chunked`."""
    return b"%x\r\n%s\r\n" % (len(content), content)


def redirect(location: str, status: str = "307 Temporary Redirect") -> bytes:
    """An answer that leads elsewhere."""
    return reply(status=status, Location=location)


def asking_for_a_password(times: int = 5) -> Callable[[Asked], bytes]:
    """The answers of somebody who would like to have a token, and gives up after some `times`."""
    left = iter(range(times))

    def answer(asked: Asked) -> bytes:
        if "authorization" in asked.headers or next(left, None) is None:
            return reply(status="404 Not Found")
        return reply(status="401 Unauthorized", WWW_Authenticate='Basic realm="yours"')

    return answer


def forwarding(server: str) -> Callable[[Asked], bytes]:
    """Answers what a server at `server` answers, as if it were that server itself."""

    def answer(asked: Asked) -> bytes:
        told = loopback.request(
            asked.method,
            server + asked.path,
            headers={k: v for k, v in asked.headers.items() if k not in _OF_A_CONNECTION},
            content=asked.body,
        )
        content = told.content.replace(server.encode(), f"http://{asked.headers['host']}".encode())
        kept = {k: v for k, v in told.headers.items() if k not in _OF_A_CONNECTION}
        return reply(content, f"{told.status_code} {told.reason_phrase}", **kept)

    return answer


@contextmanager
def stranger(answer: Callable[[Asked], bytes | Iterable[bytes]]) -> Iterator[Stranger]:
    """Serve on loopback, one request a connection, until the context is left."""
    leaving = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, ValueError):
                asked = _read(self)
                served.asked.append(asked)
                parts = answer(asked)
                for part in [parts] if isinstance(parts, bytes) else parts:
                    if leaving.is_set():
                        return
                    self.wfile.write(part)
                    served.sent += len(part)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served = Stranger(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield served
        finally:
            leaving.set()
            server.shutdown()
            thread.join()


def _read(handler: socketserver.StreamRequestHandler) -> Asked:
    method, path, _ = handler.rfile.readline().decode().split(" ", 2)
    headers = {}
    while line := handler.rfile.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("expect") == "100-continue":
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(handler))
    else:
        body = handler.rfile.read(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


def _chunks(handler: socketserver.StreamRequestHandler) -> Iterator[bytes]:
    while size := int(handler.rfile.readline(), 16):
        yield handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
