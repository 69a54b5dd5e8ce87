from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from fakes.asgi_server import serving
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from space_app.api import body
from space_app.core.errors import TooSlow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Running
    from fakes.embedder import FakeEmbedder
    from starlette.requests import Request

LIMIT = 1024 * 1024
KEY = "the-key-of-the-tests"


def body_of(size: int) -> bytes:
    """A request of exactly so many bytes."""
    start, end = b'{"text": "', b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


def connection(app: Running) -> socket.socket:
    """A bare connection to the app."""
    host, port = app.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def head(length: int) -> bytes:
    """The head of a request that declares a body of so many bytes."""
    lines = ("POST /embed HTTP/1.1", "Host: x", f"X-API-Key: {KEY}", f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode()


def test_the_largest_body_is_taken(app: Running) -> None:
    """A body of the limit's size is answered."""
    assert app.http.post("/embed", content=body_of(LIMIT)).status_code == 200


def test_one_byte_more_is_refused(app: Running) -> None:
    """A declared length above the limit is a 413, and the connection goes on."""
    reply = app.http.post("/embed", content=body_of(LIMIT + 1))

    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "payload_too_large"
    assert app.http.post("/embed", json={"text": "x"}).status_code == 200


def test_a_declared_length_is_refused_before_it_is_sent(app: Running) -> None:
    """Nobody has to send a body that is too large to be told so."""
    with connection(app) as client:
        client.sendall(head(999_999_999))
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_chunks_without_a_length_are_counted(app: Running, embedder: FakeEmbedder) -> None:
    """A body that declares no length is cut off at the limit."""

    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    reply = app.http.post("/embed", content=chunks())

    assert reply.status_code == 413
    assert embedder.steps == []


@pytest.mark.parametrize(
    ("gaps", "altogether", "status"),
    [([], 9.0, 408), ([0.0, 2.0], 9.0, 408), ([0.1] * 50, 0.6, 408), ([0.1] * 9, 9.0, 200)],
    ids=["nothing", "one long pause", "a trickle without end", "slow and steady"],
)
def test_a_slow_sender(gaps: list[float], altogether: float, status: int) -> None:
    """Neither a pause nor a trickle holds a connection for ever; a slow line is no attack."""

    async def read(request: Request) -> Response:
        try:
            await body.read(
                request, limit=LIMIT, take=lambda _: None, pause=0.5, altogether=altogether
            )
        except TooSlow:
            return Response(status_code=408)
        return Response()

    with serving(Starlette(routes=[Route("/", read, methods=["POST"])])) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            sending = threading.Thread(target=trickle, args=(client, gaps))
            sending.start()
            assert client.recv(100).startswith(b"HTTP/1.1 %d " % status)
            # Who is refused is so while still sending, not because the end never came.
            assert status == 200 or not gaps or sending.is_alive()
        sending.join(timeout=30)


def trickle(client: socket.socket, gaps: list[float]) -> None:
    """Send a byte after each pause, as long as it goes."""
    with contextlib.suppress(OSError):
        for gap in gaps:
            client.sendall(b"x")
            time.sleep(gap)


def test_a_client_that_leaves_is_not_computed_for(app: Running, embedder: FakeEmbedder) -> None:
    """When the connection ends, the steps that are left are dropped."""
    body = json.dumps({"text": [f"x {n}" for n in range(60)]}).encode()
    embedder.gate.clear()
    with connection(app) as leaving:
        leaving.sendall(head(len(body)) + body)
        assert embedder.started.acquire(timeout=30)
    deadline = time.monotonic() + 30
    while not app.service.idle:
        assert time.monotonic() < deadline, "the request was never given up"
        time.sleep(0.01)
    embedder.gate.set()

    assert app.http.post("/embed", json={"text": "next"}).status_code == 200
    assert len(embedder.steps) == 2
    assert embedder.steps[1] == ["query: next"]


def test_a_client_that_leaves_while_sending(
    app: Running, embedder: FakeEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body is nothing to answer, and no failure."""
    with connection(app) as leaving:
        leaving.sendall(head(100) + b'{"text": ')

    assert app.http.post("/embed", json={"text": "next"}).status_code == 200
    assert len(embedder.steps) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
