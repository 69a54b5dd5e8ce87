"""Reads a request's body: not more than is allowed, not for ever, and it notices who leaves."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

from space_app.core.errors import Abandoned, NotJson, PayloadTooLarge, TooSlow

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from starlette.requests import Request

T = TypeVar("T")

_MAYBE_JSON = re.compile(
    r"\s*((application|text)/([\w.+-]+\+)?json|text/plain|application/octet-stream"
    r"|application/x-www-form-urlencoded)\s*(;.*)?",
    re.IGNORECASE | re.DOTALL,
)
"""Types that JSON is sent as: the last is what curl says of `-d`, and fetch says text/plain."""

_PAUSE = 20.0
_ALTOGETHER = 300.0
"""Seconds that a body may pause and take: ten megabytes on a slow line are still in time."""


async def read(
    request: Request,
    *,
    limit: int,
    take: Callable[[int], None],
    pause: float = _PAUSE,
    altogether: float = _ALTOGETHER,
) -> bytes:
    """Return the whole body; `take` is told of its size before it is kept.

    Raises:
        NotJson: its header says that it is something else.
        PayloadTooLarge: it is, or by its Content-Length would be, longer than `limit` bytes.
        TooSlow: it pauses for too long, or takes too long altogether.
        Abandoned: the client left while it was sending.
        Overloaded: it doesn't fit into what `take` counts.
    """
    _check_type(request)
    too_large = PayloadTooLarge(
        f"The request is larger than {limit // 1024**2} MB: send fewer texts at a time."
    )
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isdecimal() else 0
    if length > limit:
        raise too_large
    take(length)
    body = bytearray()
    clock = asyncio.get_running_loop().time
    last = clock() + altogether
    try:
        async with asyncio.timeout(pause) as deadline:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
                if not length:
                    take(len(chunk))
                deadline.reschedule(min(clock() + pause, last))
    except ClientDisconnect as error:
        raise _gone() from error
    except TimeoutError as error:
        raise TooSlow("The body did not arrive in time: send it again, in one go.") from error
    return bytes(body)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, or cancel it and raise Abandoned when the client leaves meanwhile.

    The body must have been read: what the connection delivers next is its end.
    """
    here = asyncio.current_task()
    assert here is not None  # noqa: S101 -- a coroutine is run by a task
    left = False

    async def watch() -> None:
        nonlocal left
        await request.receive()
        left = True
        here.cancel()

    # Only the watching is a task of its own, which nothing waits for when all goes well.
    watching = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if not left:
            raise
        here.uncancel()
        raise _gone() from None
    finally:
        watching.cancel()


def _check_type(request: Request) -> None:
    declared = request.headers.get("content-type", "")
    if declared and not _MAYBE_JSON.fullmatch(declared):
        raise NotJson("The body must be JSON: send Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise NotJson(
            "The body is compressed, which is not understood: leave Content-Encoding out."
        )


def _gone() -> Abandoned:
    return Abandoned("The client went away.")
