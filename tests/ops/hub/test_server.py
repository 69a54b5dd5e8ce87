from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import httpx2
import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, hub_world
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from ops.hub.server import Served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


def test_it_ends_however_often_it_is_told() -> None:
    """Its port is free then; one that never began ends too."""
    served = Served()
    served.start(PlainTextResponse("here"))
    assert loopback.get(served.origin).text == "here"
    for tell in (served.end, served.end, served.stop, served.stop, served.end):
        tell()
    with pytest.raises(httpx2.ConnectError):
        loopback.get(served.origin)
    Served(int(served.origin.rpartition(":")[2])).stop()


def test_who_asks_for_a_websocket_is_answered_by_the_app(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As anybody else is, also where a library for WebSockets is installed; nothing is logged."""
    # What uvicorn takes when it finds such a library; nobody is to call it.
    monkeypatch.setattr("uvicorn.protocols.websockets.auto.AutoWebSocketsProtocol", object)
    served = Served()
    served.start(PlainTextResponse("here"))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    try:
        assert loopback.get(served.origin, headers=upgrade).text == "here"
    finally:
        served.stop()
    assert not caplog.records


CHUNKS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"


@pytest.fixture(name="client")
def _client() -> Iterator[socket.socket]:
    """A connection to an app that answers with the headers that it saw, after the body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        await JSONResponse(request.headers.items())(scope, receive, send)

    served = Served()
    served.start(app)
    host, port = served.origin.removeprefix("http://").split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=30) as client:
            yield client
    finally:
        served.stop()


def test_trailers_are_not_headers(client: socket.socket) -> None:
    """A token in a trailer opens nothing, in the same packet as its request or in another."""
    for packets in ([CHUNKS + b"X-A: 1\r\n\r\n"], [CHUNKS, b"X-A: 1\r\n\r\n"]):
        for packet in packets:
            client.sendall(packet)
        received = client.recv(65536)
        while not received.endswith(b"]]"):
            received += client.recv(65536)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"x-a" not in received


@pytest.mark.parametrize("flood", [b"X-A: 1\r\n", b"X"])
def test_trailers_end(client: socket.socket, flood: bytes) -> None:
    """Endless trailers are cut at a limit."""
    client.sendall(CHUNKS)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        client.sendall(flood * 20_000_000)


def test_all_spaces_end_at_the_same_time(tmp_path: Path) -> None:
    """Each app here waits in its end for the other one."""
    together = threading.Barrier(2)
    with hub_world(tmp_path, FakeRunner()) as world:
        world.create()
        world.push({})
        world.api.duplicate_repo(SPACE, "me/second", repo_type="space")
        world.wait(lambda _: world.api.get_space_runtime("me/second").stage == "RUNNING")
        world.wait_for_stage("RUNNING")
        for running in world.runner.started:
            running._stack.callback(together.wait, 20)
    assert not together.broken
