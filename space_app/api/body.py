"""Reads a request's body, never more of it than is allowed, and notices when the client leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

from space_app.core.errors import Abandoned, PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from starlette.requests import Request

T = TypeVar("T")


async def read(request: Request, *, limit: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLarge: it is, or by its Content-Length would be, longer than `limit` bytes.
        Abandoned: the client left while it was sending.
    """
    too_large = PayloadTooLarge(
        f"The request is larger than {limit // 1024**2} MB: send fewer texts at a time."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
    except ClientDisconnect as error:
        raise _gone() from error
    return bytes(body)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, or cancel it and raise Abandoned when the client leaves meanwhile.

    The body must have been read: what the connection delivers next is its end.
    """
    task = asyncio.ensure_future(work)
    end = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise _gone()
        return task.result()
    finally:
        task.cancel()
        end.cancel()


def _gone() -> Abandoned:
    return Abandoned("The client went away.")
