"""The origin of one Space: lets in who may see it, and passes everything on to the app.

As huggingface.co's proxy is understood (gradio-app/gradio#11700): the Hub's token comes in
X-HF-Authorization, which is taken off, or in Authorization, which the app then sees too.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount

from ops.hub.accounts import bearer
from ops.hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from ops.hub.accounts import Accounts
    from ops.hub.space import Space

MAX_PAYLOAD = 10 * 1024 * 1024
_APP_TIMEOUT = httpx2.Timeout(300, connect=5)
_HUB_TOKEN = "x-hf-authorization"  # noqa: S105 -- the name of a header
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    }
)
"""Headers between two neighbours only (RFC 9110, 7.6.1), and Host, which is the app's own."""


def create_proxy(space: Space, accounts: Accounts, is_private: Callable[[], bool]) -> Starlette:
    """The app in front of a Space; `is_private` is asked with every request."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, httpx2.AsyncClient]]:
        async with httpx2.AsyncClient(timeout=_APP_TIMEOUT, trust_env=False) as http:
            yield {"http": http}

    proxy = _SpaceProxy(space, accounts, is_private)
    return Starlette(routes=[Mount("/", app=proxy)], lifespan=lifespan)


@dataclass(frozen=True)
class _SpaceProxy:
    space: Space
    accounts: Accounts
    is_private: Callable[[], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except HubError as error:
            response = PlainTextResponse(error.message, error.status)
        except httpx2.TransportError:
            response = PlainTextResponse("The Space does not answer.", 502)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if self.is_private() and not self._may_see(request):
            raise HubError(404, "Sorry, we can't find the page you are looking for.")
        origin = self.space.origin
        if origin is None:
            stage = self.space.state.stage
            raise HubError(503, f"Your Space is not running: {stage}.")
        if int(request.headers.get("content-length", 0)) > MAX_PAYLOAD:
            raise HubError(413, "The payload is larger than 10 MB.")
        return await _passed_on(request, origin)

    def _may_see(self, request: Request) -> bool:
        headers = request.headers
        token = bearer(headers.get(_HUB_TOKEN)) or bearer(headers.get("authorization"))
        caller = self.accounts.caller(token)
        repo = self.space.repo
        return caller is not None and caller.may_read(repo.owner, repo.kind, repo.name)


async def _passed_on(request: Request, origin: str) -> Response:
    url = httpx2.URL(origin).copy_with(raw_path=_target(request))
    headers = [
        (name, value)
        for name, value in request.headers.items()
        if name not in _HOP_BY_HOP and name != _HUB_TOKEN
    ]
    http: httpx2.AsyncClient = request.state.http
    reply = await http.send(
        http.build_request(
            request.method,
            url,
            headers=headers,
            content=_limited(request) if _has_body(request) else None,
        ),
        stream=True,
    )
    response = StreamingResponse(_body(reply), reply.status_code)
    response.raw_headers = [
        (name.lower(), value)
        for name, value in reply.headers.raw
        if name.decode("latin-1").lower() not in _HOP_BY_HOP
    ]
    return response


def _has_body(request: Request) -> bool:
    return bool({"content-length", "transfer-encoding"} & set(request.headers))


def _target(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return path + (b"?" + query if query else b"")


async def _limited(request: Request) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_PAYLOAD:
            raise HubError(413, "The payload is larger than 10 MB.")
        yield chunk


async def _body(reply: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in reply.aiter_raw():
            yield chunk
    finally:
        await reply.aclose()
