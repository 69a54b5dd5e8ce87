from __future__ import annotations

import gzip
import threading
import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from fakes.stranger import chunk, redirect, reply, stranger
from waiting import wait_until

from ops.http_client import (
    AnswerRefused,
    LimitedClient,
    Limits,
    OutOfTime,
    Redirected,
    is_same_place,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fakes.stranger import Asked

KEYS = {
    "Authorization": "Bearer the-key",
    "X-HF-Authorization": "the-key",
    "X-API-Key": "the-key",
    "X-Any-Name": "the-key",
    "Cookie": "key=the-key",
}


@pytest.fixture(name="http")
def _http() -> Iterator[LimitedClient]:
    """One with small limits."""
    limits = Limits(size=1_000_000, seconds=0.5)
    with LimitedClient(limits=limits, follow_redirects=True, trust_env=False) as http:
        yield http


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_was_sent_is_not_sent_elsewhere(http: LimitedClient, method: str, status: str) -> None:
    """Neither a body nor a key follows a redirect of a write, however it redirects."""
    with (
        stranger(lambda _: reply()) as thief,
        stranger(lambda _: redirect(f"{thief.origin}/x?y", status)) as server,
    ):
        with pytest.raises(Redirected, match=f"{thief.origin}/x"):
            http.request(method, server.origin, headers=KEYS, content=b"the-secret")
        assert thief.asked == []


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_a_page_elsewhere_is_read_without_keys(http: LimitedClient, status: str) -> None:
    """Whatever header they are in; the page itself is read."""
    with (
        stranger(lambda _: reply(b"page")) as thief,
        stranger(lambda _: redirect(thief.origin, status)) as server,
    ):
        assert http.get(server.origin, headers=KEYS).text == "page"
        assert "the-key" in server.everything
        assert len(thief.asked) == 1
        assert "the-key" not in thief.everything


def test_a_redirect_within_the_server_is_followed(http: LimitedClient) -> None:
    """With key and body; one that would make a GET of it, and so lose the body, is not."""
    with stranger(
        lambda a: reply() if a.path == "/new" else redirect("/new", a.path[1:])
    ) as server:
        http.post(f"{server.origin}/307", headers=KEYS, content=b"body")
        assert (server.asked[-1].path, server.asked[-1].body) == ("/new", b"body")
        assert server.asked[-1].headers["x-api-key"] == "the-key"
        with pytest.raises(Redirected):
            http.post(f"{server.origin}/302", content=b"body")


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://example.org/", True),
        ("http://example.org/", True),
        ("https://example.org:8443/", False),
        ("https://example.com/", False),
        ("http://example.org:8080/", False),
    ],
)
def test_a_server_that_asks_for_tls_is_the_same(url: str, *, same: bool) -> None:
    """By its own name and the usual port; and never back."""
    assert is_same_place(httpx2.URL("http://example.org/a"), httpx2.URL(url)) is same
    assert not is_same_place(httpx2.URL("https://example.org"), httpx2.URL("http://example.org"))


def endless(_: Asked) -> Iterator[bytes]:
    """A body without an end."""
    yield reply(Transfer_Encoding="chunked")
    while True:
        yield chunk(bytes(50_000))


def bomb(_: Asked) -> bytes:
    """A small body that unpacks to a large one."""
    return reply(gzip.compress(bytes(5_000_000)), Content_Encoding="gzip")


def endless_redirect(asked: Asked) -> Iterator[bytes]:
    """A redirect with a body without an end."""
    yield redirect(asked.path).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    while True:
        yield chunk(bytes(50_000))


def slow(_: Asked) -> Iterator[bytes]:
    """A byte now and then."""
    yield reply(Transfer_Encoding="chunked")
    while True:
        time.sleep(0.05)
        yield chunk(b" ")


def slow_head(_: Asked) -> Iterator[bytes]:
    """Not even a whole head."""
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        time.sleep(0.05)
        yield b"x"


@pytest.mark.parametrize("answer", [endless, bomb, endless_redirect, slow])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Service Unavailable"])
def test_an_answer_has_limits(http: LimitedClient, answer: object, status: str) -> None:
    """On its size, packed and unpacked, and on its time; whatever its status is."""

    def answered(asked: Asked) -> Iterator[bytes]:
        parts = answer(asked)  # type: ignore[operator]
        for part in [parts] if isinstance(parts, bytes) else parts:
            yield part.replace(b"200 OK", status.encode(), 1)

    with stranger(answered) as server, pytest.raises(AnswerRefused):
        http.get(server.origin)


def test_an_answer_within_the_limits_is_whole(http: LimitedClient) -> None:
    """Unpacked, and with its headers."""
    packed = reply(gzip.compress(b"content"), Content_Encoding="gzip", X_Other="other")
    with stranger(lambda _: packed) as server:
        response = http.get(server.origin)
    assert (response.content, response.headers["X-Other"]) == (b"content", "other")


def test_a_head_has_a_limit_too(http: LimitedClient) -> None:
    """Whoever waits is told, though the client itself has no such limit."""
    with stranger(slow_head) as server, pytest.raises(OutOfTime):
        within(0.3, lambda: http.get(server.origin))


def test_what_is_given_up_ends(http: LimitedClient) -> None:
    """It asks for nothing more afterwards."""
    given_up, ended = threading.Event(), threading.Event()

    def ask() -> None:
        try:
            given_up.wait()
            http.get(server.origin)
        except AnswerRefused:
            ended.set()

    with stranger(lambda _: reply()) as server:
        with pytest.raises(OutOfTime):
            within(0.05, ask)
        given_up.set()
        wait_until(ended.is_set)
        assert server.asked == []


def test_within_time_it_is_as_without() -> None:
    """What it returns and what it raises."""
    assert within(10, lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 / 0)
