"""A request's body that is too large to be held, in pieces worth a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ops.hub.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

_PIECE = 1024 * 1024


async def hand_on(request: Request, take: Callable[[bytes], None]) -> None:
    """Give each piece of a body to `take`, in a thread, while the next one comes.

    Raises HubError (400) when the client is gone before its end, and whatever `take` raises.
    """
    taking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    taking.set_result(None)
    try:
        async for piece in pieces_of(request):
            await taking
            taking = asyncio.ensure_future(run_in_threadpool(take, piece))
        await taking
    finally:
        await asyncio.gather(taking, return_exceptions=True)  # nobody works on it when we leave


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """The body; raises HubError (400) when the client is gone before its end."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size >= _PIECE:
                yield b"".join(parts)
                parts.clear()
                size = 0
    except ClientDisconnect as error:
        raise bad_request("The request broke off") from error
    yield b"".join(parts)
