"""What requests hold of memory together, and what is not even parsed, at the wire."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from waiting import wait_until

from space_app.api import budget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Running, StartApp
    from fakes.embedder import FakeEmbedder

KEY = "the-key-of-the-tests"
OTHER_KEY = "the-key-of-somebody-else"
LARGEST = 1024 * 1024
FIT = 3
"""Bodies of the largest size; small requests still do then."""


@pytest.fixture(autouse=True)
def _small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of the largest requests, of which small ones have an eighth for themselves."""
    monkeypatch.setattr(budget, "LEAST", 0)


def held(app: Running) -> float:
    """The bytes that /metrics tells of."""
    (line,) = [
        line
        for line in app.http.get("/metrics").text.splitlines()
        if line.startswith("embedding_http_held_bytes ")
    ]
    return float(line.split()[1])


def connected(app: Running) -> socket.socket:
    """A bare connection."""
    host, port = app.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


@contextmanager
def begun(
    app: Running, length: int | None, *, key: str = KEY, sent: bytes = b""
) -> Iterator[socket.socket]:
    """A request whose body is not sent to its end; without a length it is chunked."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    with connected(app) as client:
        head = f"POST /embed HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n{framing}\r\n\r\n"
        client.sendall(head.encode() + sent)
        yield client


def test_unfinished_bodies_hold_no_more_than_the_budget(app: Running) -> None:
    """Beyond it large requests get 429, until others end; small ones and monitors are answered."""
    with ExitStack() as stack:
        for _ in range(FIT):
            stack.enter_context(begun(app, LARGEST))
        wait_until(lambda: held(app) == FIT * LARGEST)
        refused = app.http.post("/embed", content=b" " * LARGEST)

        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "overloaded"
        assert int(refused.headers["retry-after"]) > 0
        assert app.http.post("/embed", json={"text": "small"}).status_code == 200
        assert app.http.get("/health").status_code == 200
        assert app.http.get("/livez").status_code == 200
    wait_until(lambda: held(app) == 0)

    assert app.http.post("/embed", content=b" " * LARGEST).status_code == 400


def test_bodies_without_a_length_are_counted_as_they_arrive(app: Running) -> None:
    """A client that declares nothing is refused when what it sent no longer fits."""
    chunk = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
    with ExitStack() as stack:
        for _ in range(FIT + 1):
            stack.enter_context(begun(app, None, sent=chunk * 3))
        wait_until(lambda: held(app) == (FIT + 1) * 3 * 0x40000)
        client = stack.enter_context(begun(app, None, sent=chunk * 3))

        assert client.recv(100).startswith(b"HTTP/1.1 429 ")


def test_a_stranger_takes_nothing_of_it(app: Running) -> None:
    """Who has no key is refused before anything of the body is kept."""
    with begun(app, LARGEST, key="wrong", sent=b" " * 500_000) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")
        assert held(app) == 0


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/embeddings", "/embed", "/", "/similarity", "/tokenize"]
)
def test_no_route_reads_a_strangers_body(app: Running, path: str) -> None:
    """The refusal comes although the body never does."""
    with connected(app) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")


def test_one_key_leaves_room_for_the_others(start_app: StartApp, embedder: FakeEmbedder) -> None:
    """Where there are several keys, one gets no more than half."""
    with start_app(embedder, keys=(KEY, OTHER_KEY)) as app, ExitStack() as stack:
        stack.enter_context(begun(app, LARGEST))
        wait_until(lambda: held(app) == LARGEST)
        headers = {"X-API-Key": OTHER_KEY}

        assert app.http.post("/embed", content=b" " * LARGEST).status_code == 429
        other = httpx2.post(
            f"{app.url}/embed", content=b" " * LARGEST, headers=headers, trust_env=False
        )
        assert other.status_code == 400


def test_replies_are_counted_until_they_are_read(
    start_app: StartApp, embedder: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that waits for its reader holds its size of the budget, and gives it back."""
    # A reply is seven megabytes, of which the kernel takes up to four.
    monkeypatch.setattr(budget, "LEAST", 20 * LARGEST)
    body = b'{"inputs":"' + b"x " * 120_000 + b'"}'
    head = (
        f"POST /tokenize HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with start_app(embedder) as app, ExitStack() as stack:
        statuses = []
        for _ in range(3):
            client = stack.enter_context(connected(app))
            client.sendall(head.encode() + body)
            statuses.append(client.recv(12))

        assert statuses == [b"HTTP/1.1 200", b"HTTP/1.1 200", b"HTTP/1.1 429"]
        assert app.http.post("/embed", json={"text": "small"}).status_code == 200
        stack.close()
        wait_until(lambda: held(app) == 0)


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/embeddings", "/embed", "/", "/similarity", "/tokenize"]
)
def test_no_route_parses_a_body_of_too_many_values(app: Running, path: str) -> None:
    """Tens of thousands of keys in a field that nobody knows are refused, not made into objects."""
    extra = b",".join(b'"%d":1' % n for n in range(25_000))
    body = b'{"input":"x","inputs":"x","extra":{%b}}' % extra
    reply = app.http.post(path, content=body)

    assert reply.status_code == 422
    assert b"strings" in reply.content
