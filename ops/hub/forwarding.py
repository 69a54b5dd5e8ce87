"""One request, passed on to an app, and its reply passed back, both as streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2

from ops.hub.visitors import without_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.requests import Request
    from starlette.types import Receive, Send

MAX_PAYLOAD = 10 * 1024 * 1024
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers between two neighbours only (RFC 9110, 7.6.1)."""


class Gone(Exception):
    """Whoever asked has hung up."""


class TooLarge(Exception):
    """The payload is larger than a Space gets."""


class LostReply(Exception):
    """The app hung up within its reply."""


class Upload:
    """A request's body; the only reader of what the client sends."""

    def __init__(self, receive: Receive, *, ends: bool):
        self._receive = receive
        self._is_read = asyncio.Event()
        self.is_there = ends
        if not ends:
            self._is_read.set()

    def check(self, length: str | None) -> None:
        """Raise TooLarge for a body that says so itself."""
        if length is not None and int(length) > MAX_PAYLOAD:
            raise TooLarge

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body; raises TooLarge, and Gone when it breaks off."""
        size, is_more = 0, True
        while is_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            is_more = message.get("more_body", False)
            body: bytes = message.get("body", b"")
            size += len(body)
            if size > MAX_PAYLOAD:
                raise TooLarge
            if body:
                yield body
        self._is_read.set()

    async def gone(self) -> None:
        """Return when the client hangs up after it has sent all."""
        await self._is_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def pass_on(
    http: httpx2.AsyncClient,
    request: Request,
    upload: Upload,
    send: Send,
    origin: str,
    *,
    taken_off: str,
) -> None:
    """Ask the app at `origin` and pass its reply back; the header `taken_off` is not for it.

    Raises:
        httpx2.TransportError: the app does not answer.
        LostReply: it broke off after a part of its reply had been passed back.
        TooLarge, Gone: see `Upload`.
    """
    reply = await http.send(
        http.build_request(
            request.method,
            httpx2.URL(origin).copy_with(raw_path=_target(request)),
            headers=_for_app(request, taken_off),
            content=upload.chunks() if upload.is_there else None,
        ),
        stream=True,
    )
    try:
        headers = list(_end_to_end(reply.headers.raw, reply.headers.get("connection")))
        await send({"type": "http.response.start", "status": reply.status_code, "headers": headers})
        async for chunk in reply.aiter_raw():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except httpx2.TransportError as error:
        raise LostReply from error
    finally:
        await reply.aclose()


def _target(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return path + (b"?" + query if query else b"")


def _for_app(request: Request, taken_off: str) -> list[tuple[bytes, bytes]]:
    own = {"host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", taken_off}
    headers = [
        (name, without_session(value) if name == b"cookie" else value)
        for name, value in _end_to_end(request.headers.raw, request.headers.get("connection"))
        if name.decode("latin-1") not in own
    ]
    client = request.client.host if request.client is not None else ""
    chain = [*request.headers.getlist("x-forwarded-for"), client]
    forwarded = {
        "x-forwarded-for": ", ".join(chain),
        "x-forwarded-host": request.headers.get("host", ""),
        "x-forwarded-proto": "http",
    }
    return headers + [(k.encode(), v.encode("latin-1")) for k, v in forwarded.items()]


def _end_to_end(
    headers: Iterable[tuple[bytes, bytes]], connection: str | None
) -> Iterable[tuple[bytes, bytes]]:
    """Those that are not between neighbours, nor named so by Connection itself."""
    named = {name.strip().lower() for name in (connection or "").split(",")}
    for name, value in headers:
        lower = name.decode("latin-1").lower()
        if lower not in _HOP_BY_HOP and lower not in named:
            yield lower.encode("latin-1"), value
