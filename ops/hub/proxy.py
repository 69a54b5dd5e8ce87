"""The origin of one Space: lets in who may see it, and passes everything on to the app.

As huggingface.co's proxy is understood (gradio-app/gradio#11700): the Hub's token comes in
X-HF-Authorization, which is taken off, or in Authorization, which the app then sees too.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Mount

from ops.hub.accounts import bearer
from ops.hub.connections import cut
from ops.hub.forwarding import Gone, LostReply, TooLarge, Upload, pass_on
from ops.hub.space_page import answer_in_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from ops.hub.accounts import Accounts
    from ops.hub.space import Space

WAKE_LIMIT = 30.0
"""Seconds for which a request to a sleeping Space waits. Undocumented on huggingface.co: whether
such a request waits, and for how long."""

_APP_TIMEOUT = httpx2.Timeout(300, connect=5)
_NO_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
_HUB_TOKEN = "x-hf-authorization"  # noqa: S105 -- the name of a header
_WAKE_POLL = 0.05


def create_proxy(
    space: Space,
    accounts: Accounts,
    is_private: Callable[[], bool],
    *,
    wake_limit: float = WAKE_LIMIT,
) -> Starlette:
    """The app in front of a Space; `is_private` is asked with every request."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, httpx2.AsyncClient]]:
        async with httpx2.AsyncClient(
            timeout=_APP_TIMEOUT, limits=_NO_LIMITS, trust_env=False
        ) as http:
            yield {"http": http}

    proxy = _SpaceProxy(space, accounts, is_private, wake_limit)
    return Starlette(routes=[Mount("/", app=proxy)], lifespan=lifespan)


@dataclass
class _Refusal(Exception):
    status: int
    stage: str | None = None


@dataclass(frozen=True)
class _SpaceProxy:
    space: Space
    accounts: Accounts
    is_private: Callable[[], bool]
    wake_limit: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; when whoever asks has gone, the app is told by a lost connection."""
        request = Request(scope)
        upload = Upload(receive, ends=_has_body(request))
        answering = asyncio.ensure_future(self._answer(request, upload, send))
        leaving = asyncio.ensure_future(upload.gone())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, leaving):
                task.cancel()
        answered, _ = await asyncio.gather(answering, leaving, return_exceptions=True)
        match answered:
            case None | Gone() | asyncio.CancelledError():
                return
            case _Refusal():
                await answer_in_place(request, send, answered.status, answered.stage)
            case TooLarge():
                await answer_in_place(request, send, 413)
            case LostReply():
                # Half of the reply is sent. Nothing but a lost connection says that it is half.
                cut(scope, flush=True)
                while (await receive())["type"] != "http.disconnect":
                    pass
            case httpx2.TransportError():
                await answer_in_place(request, send, 502)
            case _:
                raise answered

    async def _answer(self, request: Request, upload: Upload, send: Send) -> None:
        if self.is_private() and not self._may_see(request):
            raise _Refusal(404)
        self.space.visits.begin()
        try:
            await self._visit(request, upload, send)
        finally:
            self.space.visits.end()

    async def _visit(self, request: Request, upload: Upload, send: Send) -> None:
        if _asks_for_websocket(request):
            raise _Refusal(501)
        if self.space.is_waking:
            await self._wait_until_awake()
        upload.check(request.headers.get("content-length"))
        if self.space.crashes():
            raise _Refusal(502)
        state, origin = self.space.state, self.space.origin
        if origin is None:
            raise _Refusal(503, state.stage)
        http: httpx2.AsyncClient = request.state.http
        await pass_on(http, request, upload, send, origin, taken_off=_HUB_TOKEN)

    async def _wait_until_awake(self) -> None:
        until = time.monotonic() + self.wake_limit
        await run_in_threadpool(self.space.wake)
        # It is the Space's own thread that wakes it, which can set no event of this loop.
        while self.space.is_waking and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_WAKE_POLL)

    def _may_see(self, request: Request) -> bool:
        headers = request.headers
        token = bearer(headers.get(_HUB_TOKEN)) or bearer(headers.get("authorization"))
        caller = self.accounts.caller(token)
        repo = self.space.repo
        return caller is not None and caller.may_read(repo.owner, repo.kind, repo.name)


def _asks_for_websocket(request: Request) -> bool:
    """RFC 6455, 4.1. Whoever offers another protocol gets its answer in this one."""
    upgrade = request.headers.get("upgrade", "").lower()
    return request.method == "GET" and upgrade == "websocket"


def _has_body(request: Request) -> bool:
    return bool({"content-length", "transfer-encoding"} & set(request.headers))
