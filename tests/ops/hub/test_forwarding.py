from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
import loopback
import pytest
from fakes.runner import FakeRunner, FakeRunning
from hub_world import READ, hub_world
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ops.hub.visitors import COOKIE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN = {"X-HF-Authorization": f"Bearer {READ}"}


@dataclass
class App:
    """What the app saw."""

    waits: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def asgi(self) -> ASGIApp:
        shop = Starlette(
            routes=[
                Route("/headers", self.headers, methods=["GET", "HEAD"]),
                Route("/slowly", self.slowly),
                Route("/echo", self.echo, methods=["POST"]),
                Route("/named", self.named),
                Route("/", lambda _: PlainTextResponse("")),
            ]
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] in ("/waits", "/streams"):
                await self.outlast(scope, receive, send)
            else:
                await shop(scope, receive, send)

        return app

    async def headers(self, request: Request) -> Response:
        return JSONResponse(request.headers.items())

    async def named(self, _: Request) -> Response:
        headers = {"Connection": "X-Secret", "X-Secret": "1", "X-Own": "2", "Keep-Alive": "9"}
        return PlainTextResponse("", headers=headers)

    async def slowly(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.to_thread(self.left.wait, 20)
            yield b"last"

        return StreamingResponse(parts())

    async def echo(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            self.waits.set()
        return PlainTextResponse(body)

    async def outlast(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer nothing, or half, until the visitor leaves."""
        await receive()
        if scope["path"] == "/streams":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        self.waits.set()
        if (await receive())["type"] == "http.disconnect":
            self.left.set()


@pytest.fixture(scope="module")
def made() -> App:
    """The app of this module's Space."""
    return App()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, made: App) -> Iterator[str]:
    """The origin of a private Space that runs it."""
    runner = FakeRunner(app=lambda _: made.asgi())
    with hub_world(tmp_path_factory.mktemp("hub"), runner) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world.url()


@pytest.fixture
def app(made: App) -> App:
    """The app, as if nobody had been there."""
    made.waits.clear()
    made.left.clear()
    return made


def test_the_app_is_told_who_asked(url: str) -> None:
    """It gets the visitor's address and the origin that was asked, whatever was claimed before."""
    sent = OPEN | {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "elsewhere"}
    seen = dict(loopback.get(f"{url}/headers", headers=sent).json())
    assert seen["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert seen["x-forwarded-host"] == url.partition("//")[2]
    assert seen["x-forwarded-proto"] == "http"


def test_what_is_between_neighbours_stays_there(url: str) -> None:
    """Hop-by-hop headers, and those that Connection names, go no further in either direction."""
    sent = OPEN | {"Connection": "X-Mine", "X-Mine": "1", "TE": "trailers", "X-Yours": "2"}
    seen = dict(loopback.get(f"{url}/headers", headers=sent).json())
    assert seen["x-yours"] == "2"
    assert not {"x-mine", "te"} & set(seen)
    reply = loopback.get(f"{url}/named", headers=OPEN)
    assert reply.headers["x-own"] == "2"
    assert not {"x-secret", "keep-alive"} & set(reply.headers)


def test_the_hubs_cookie_is_not_for_apps(url: str) -> None:
    """Cookies know no ports, so that of the Hub's page comes here, too; the app's own pass."""
    cookies = f"a=1; {COOKIE}_7850=hidden; b=2; {COOKIE}_1=hidden"
    seen = loopback.get(f"{url}/headers", headers=OPEN | {"Cookie": cookies})
    assert dict(seen.json())["cookie"] == "a=1; b=2"
    assert "hidden" not in seen.text


def test_head_has_headers_and_no_body(url: str) -> None:
    """HEAD is passed on as HEAD, with the length of what GET would bring."""
    reply = loopback.head(f"{url}/headers", headers=OPEN)
    assert (reply.status_code, reply.content) == (200, b"")
    assert int(reply.headers["content-length"]) > 2


def test_replies_come_while_they_are_made(url: str, app: App) -> None:
    """The first part is there before the app has thought of the last."""
    with loopback.stream("GET", f"{url}/slowly", headers=OPEN) as reply:
        parts = reply.iter_raw()
        assert next(parts) == b"first"
        app.left.set()
        assert b"".join(parts) == b"last"


def test_bodies_go_while_they_are_made(url: str, app: App) -> None:
    """The app has the first part of a body before the last one is sent."""

    def parts() -> Iterator[bytes]:
        yield b"x"
        assert app.waits.wait(20)
        yield b"y"

    assert loopback.post(f"{url}/echo", content=parts(), headers=OPEN).content == b"xy"


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.3"])
def test_another_protocol_is_declined(url: str, protocol: str) -> None:
    """A body that comes with an offer to upgrade reaches the app, and so does the next one."""
    sent = OPEN | {"Connection": "Upgrade", "Upgrade": protocol}
    with httpx2.Client(trust_env=False) as http:
        for content in (b"length", iter([b"chunk", b"ed"])):
            reply = http.post(f"{url}/echo", content=content, headers=sent)
            assert reply.status_code == 200
            assert reply.content in (b"length", b"chunked")


@pytest.mark.parametrize("path", ["/waits", "/streams"])
def test_a_visitor_who_leaves_is_told_of(url: str, app: App, path: str) -> None:
    """Before a reply and within one, the app is told that nobody waits for it any more."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as visitor:
        header = f"X-HF-Authorization: Bearer {READ}"
        visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        assert app.waits.wait(20)
        assert not app.left.is_set()
    assert app.left.wait(20)


@dataclass
class Breaking(FakeRunner):
    """Its apps start soundly, then send these bytes in reply to each request, and hang up."""

    reply: bytes = b""

    def start(self, *_: object, **__: object) -> FakeRunning:
        sound, breaking = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", self

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asked = self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(sound if asked.startswith(b"HEAD") else breaking.reply)

        stack = ExitStack()
        server = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(server.shutdown)
        running = FakeRunning(f"http://127.0.0.1:{server.server_address[1]}", stack)
        self.started.append(running)
        return running


@pytest.fixture(scope="module")
def breaking() -> Breaking:
    """What runs the Space whose app hangs up."""
    return Breaking()


@pytest.fixture(scope="module")
def broken_url(tmp_path_factory: pytest.TempPathFactory, breaking: Breaking) -> Iterator[str]:
    """The origin of a private Space whose app hangs up."""
    with hub_world(tmp_path_factory.mktemp("hub"), breaking) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world.url()


@pytest.mark.parametrize("reply", [b"", b"nonsense\r\n\r\n"], ids=["none", "nonsense"])
def test_an_app_that_hangs_up(broken_url: str, breaking: Breaking, reply: bytes) -> None:
    """Without a reply it is a 502, in words."""
    breaking.reply = reply
    answer = loopback.get(f"{broken_url}/x", headers=OPEN)
    assert answer.status_code == 502
    assert "does not answer" in answer.text


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
HALF_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"


@pytest.mark.parametrize("reply", [HALF, HALF_CHUNKED], ids=["length", "chunks"])
def test_half_a_reply_is_no_whole_one(broken_url: str, breaking: Breaking, reply: bytes) -> None:
    """An app that breaks off breaks off for the visitor, too, who would take half for all."""
    breaking.reply = reply
    with loopback.stream("GET", f"{broken_url}/x", headers=OPEN) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            answer.read()
