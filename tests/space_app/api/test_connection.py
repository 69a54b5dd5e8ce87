"""What is sent byte by byte, to the connection that the server really runs."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from fakes.asgi_server import serving
from fakes.embedder import FakeEmbedder, fake_manifest
from waiting import wait_until

from space_app.api.app import create_app
from space_app.api.connection import Connection
from space_app.core.service import Service
from space_app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = b"POST /embed HTTP/1.1\r\nHost: x\r\n"


class Hasty(Connection):
    """Waits for nobody."""

    head_seconds = 0.2
    refused_body_seconds = 0.2
    unread_seconds = 0.2


class Crowded(Connection):
    """Has room for three."""

    max_connections = 3


class Checking(Connection):
    """Checks once a second whether its client reads."""

    unread_seconds = 1.0

    def __init__(self, *args: Any, **more: Any):
        super().__init__(*args, **more)
        self.timeout_keep_alive = 0.2


@pytest.fixture(name="patient")
def _patient(tmp_path: Path) -> Iterator[str]:
    with _serving(tmp_path, Connection) as url:
        yield url


@pytest.fixture(name="hasty")
def _hasty(tmp_path: Path) -> Iterator[str]:
    with _serving(tmp_path, Hasty) as url:
        yield url


@contextmanager
def _serving(
    folder: Path, connection: type[Connection], embedder: FakeEmbedder | None = None
) -> Iterator[str]:
    settings = Settings(model_dir=folder, max_payload_mb=1)
    service = Service(embedder or FakeEmbedder(), fake_manifest(), max_inputs=9)
    with serving(create_app(service, settings), http=connection) as url:
        yield url


def connected(url: str) -> socket.socket:
    """A bare connection."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def answer(client: socket.socket) -> tuple[int, str]:
    """The status and the code of what is answered before the server hangs up."""
    received = b""
    try:
        while more := client.recv(65536):
            received += more
    except ConnectionResetError:
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def send_for_ever(client: socket.socket, chunk: bytes, *, pause: float = 0) -> None:
    """Until it fails."""
    while True:
        client.sendall(chunk)
        time.sleep(pause)


def embeds(url: str) -> bool:
    """Whether the server still answers others."""
    with connected(url) as client:
        client.sendall(HEAD + b'Content-Length: 13\r\nConnection: close\r\n\r\n{"text": "x"}')
        return client.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "flood",
    [b"X-Flood: 1\r\n" * 50_000, b"X-Flood: " + b"x" * 500_000, b"X-Flood" * 50_000],
    ids=["many headers", "one long value", "one long name"],
)
def test_a_flood_of_headers(patient: str, flood: bytes) -> None:
    """A head that does not end is refused at its limit, whatever it is made of."""
    with connected(patient) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(HEAD + flood)
        status, code = answer(client)

    assert (status, code) == (431, "headers_too_large")
    assert embeds(patient)


def test_a_large_head_that_ends(patient: str) -> None:
    """It is refused as well where all of it comes at once."""
    with connected(patient) as client:
        client.sendall(HEAD + b"X-Flood: " + b"x" * 70_000 + b"\r\n\r\n")
        assert answer(client) == (431, "headers_too_large")


def test_a_head_within_the_limit(patient: str) -> None:
    """Long tokens of proxies are no flood; every request counts by itself."""
    head = HEAD + b"X-Long: " + b"x" * 40_000 + b'\r\nContent-Length: 13\r\n\r\n{"text": "x"}'
    with connected(patient) as client:
        for _ in range(3):
            client.sendall(head)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_http(patient: str, request_bytes: bytes) -> None:
    """It is a 400 in the shape of every error."""
    with connected(patient) as client:
        client.sendall(request_bytes)
        assert answer(client) == (400, "invalid_http")
    assert embeds(patient)


@pytest.mark.parametrize(
    "path",
    [
        b"/../info",
        b"/docs/../info",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/info%00",
        b"/info%2f..",
        b"/info;x",
        b"/%ff%fe",
        b"/" + b"a" * 30_000,
    ],
    ids=lambda path: path.decode()[:30],
)
def test_path_tricks(patient: str, path: bytes) -> None:
    """Paths are compared as they are: none leads to a route, let alone to a file."""
    with connected(patient) as client:
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer(client) == (404, "not_found")


@pytest.mark.parametrize("sent", [b"", b"POST /emb", HEAD + b"X-Slow: "])
def test_a_head_that_does_not_arrive(hasty: str, sent: bytes) -> None:
    """Who connects and says nothing, or half of it, is let go."""
    with connected(hasty) as client:
        client.sendall(sent)
        assert answer(client) == (408, "timeout")


def test_a_body_has_more_time_than_a_head(hasty: str) -> None:
    """The time for the head ends with it."""
    with connected(hasty) as client:
        client.sendall(HEAD + b"Content-Length: 13\r\n\r\n")
        time.sleep(0.5)
        client.sendall(b'{"text": "x"}')
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_second_head_that_does_not_arrive(hasty: str) -> None:
    """The time runs for every request of a connection."""
    with connected(hasty) as client:
        client.sendall(HEAD + b'Content-Length: 13\r\n\r\n{"text": "x"}')
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall(HEAD)
        assert answer(client) == (408, "timeout")


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
def test_who_sends_all_before_reading_is_told(patient: str, connection: bytes) -> None:
    """A body that is too large is read to its end, and the refusal arrives."""
    size = 3 * 1024 * 1024
    head = HEAD + b"Connection: %b\r\nContent-Length: %d\r\n\r\n" % (connection, size)
    with connected(patient) as client:
        client.sendall(head)
        for _ in range(size // 65536):
            client.sendall(b"x" * 65536)
            time.sleep(0.001)
        received = client.recv(65536)

    assert received.startswith(b"HTTP/1.1 413 ")
    assert embeds(patient)


def test_a_body_that_goes_on_after_its_refusal(hasty: str) -> None:
    """Who does not stop sending what was refused is hung up on."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with connected(hasty) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_for_ever(client, chunk)
    assert embeds(hasty)


TOKENS = b'{"inputs":"' + b"x " * 200_000 + b'"}'
UNREAD = (
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    % (len(TOKENS), TOKENS)
)
"""It is answered with twelve megabytes, more than the kernel takes."""


def test_a_reply_that_nobody_reads_is_given_up(hasty: str) -> None:
    """The connection is reset, and what the reply took of memory is free again."""
    with connected(hasty) as client:
        client.sendall(UNREAD)
        wait_until(lambda: not holds(hasty, 0))
        wait_until(lambda: holds(hasty, 0))
        with pytest.raises(ConnectionResetError):
            receive_all(client)


def test_a_slow_reader_gets_its_reply(tmp_path: Path) -> None:
    """Who reads a little in each second gets all of it, however long that takes."""
    with _serving(tmp_path, Checking) as url, connected(url) as client:
        client.sendall(UNREAD)
        received = client.recv(65536)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            received += client.recv(16_384)
            time.sleep(0.05)
        while more := client.recv(1 << 20):
            received += more

    assert received.endswith(b"0\r\n\r\n")


def test_idle_connections_make_room_for_new_ones(tmp_path: Path) -> None:
    """The longest idle one goes, whether it sent nothing, half a head or a request before."""
    with _serving(tmp_path, Crowded) as url, ExitStack() as stack:
        nothing = stack.enter_context(connected(url))
        half = stack.enter_context(connected(url))
        half.sendall(HEAD)
        for leaves in (None, nothing, half):
            newcomer = stack.enter_context(connected(url))
            newcomer.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert newcomer.recv(12) == b"HTTP/1.1 200"
            if leaves is not None:
                with suppress(ConnectionResetError):
                    assert leaves.recv(100) == b""


def test_a_request_that_is_being_answered_keeps_its_connection(tmp_path: Path) -> None:
    """However many others come."""
    embedder = FakeEmbedder()
    embedder.gate.clear()
    body = b'{"text":"x"}'
    with _serving(tmp_path, Crowded, embedder) as url, ExitStack() as stack:
        busy = stack.enter_context(connected(url))
        busy.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert embedder.started.acquire(timeout=30)
        for _ in range(9):
            client = stack.enter_context(connected(url))
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        embedder.gate.set()

        assert busy.recv(12) == b"HTTP/1.1 200"


def receive_all(client: socket.socket) -> None:
    """Until the end."""
    while client.recv(65536):
        pass


def holds(url: str, size: int) -> bool:
    """Whether requests hold so many bytes."""
    with connected(url) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while more := client.recv(65536):
            received += more
    return b"\nembedding_http_held_bytes %.1f\n" % size in received


def test_an_idle_connection_is_closed(hasty: str) -> None:
    """Also where the request's body came after its answer."""
    with connected(hasty) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"abc")
        assert client.recv(65536) == b""


@pytest.mark.parametrize("drip", [b"1;", b"0\r\nX-A: "], ids=["extension", "trailer"])
def test_framing_that_goes_on_after_the_answer(hasty: str, drip: bytes) -> None:
    """Who sends no body either, but what stands around it, has no more time."""
    with connected(hasty) as client:
        client.sendall(
            b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + drip
        )
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_for_ever(client, b"x", pause=0.01)


def test_requests_in_a_row(patient: str) -> None:
    """However many, they are answered in their order, and read only as they are answered."""
    count = 2000
    ask = b"GET /livez?%d HTTP/1.1\r\nHost: x\r\n\r\n"
    last = HEAD + b'Connection: close\r\nContent-Length: 13\r\n\r\n{"text": "x"}'
    with connected(patient) as client:
        sending = threading.Thread(
            target=client.sendall, args=(b"".join(ask % n for n in range(count)) + last,)
        )
        sending.start()
        received = b""
        while more := client.recv(65536):
            received += more
        sending.join(timeout=30)
    assert received.count(b"HTTP/1.1 200 ") == count + 1
    assert b'"embedding"' in received[-300:]


def test_a_long_body_before_another_request(patient: str) -> None:
    """What counts against the limit of a head is the head alone, in whichever packet it begins."""
    text = b'{"text": "%b"}' % (b"x" * 500_000)
    ask = HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text
    with connected(patient) as client:
        client.sendall(ask + HEAD + b"Connection: ")
        client.sendall(b'close\r\nContent-Length: 13\r\n\r\n{"text": "x"}')
        received = b""
        while more := client.recv(65536):
            received += more
    assert received.count(b"HTTP/1.1 200 ") == 2
