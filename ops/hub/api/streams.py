"""Logs and stages as server-sent events, as the Hub's client reads them (its `hf_api.py`).

A line of a log is `data: {"data": …, "timestamp": …}`; a bare `data:` keeps the connection alive.
"""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from ops.hub.errors import HubError
from ops.hub.runtime import runtime
from ops.hub.timestamp import seconds, timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.responses import Response

    from ops.hub.space import Space
    from ops.hub.store import Settings

_KEEP_ALIVE = 15.0
"""Seconds; more than 5, after which a client that does not follow takes silence for the end."""
_FOLLOW_EVERY = 0.1


def stream_log(space: Space, *, build: bool, tail: int | None = None) -> Response:
    """The newest log, at first its last `tail` lines, then what comes."""
    log = space.build_log if build else space.run_log
    # The client reads up to the line that is newer than the header Date, which must not lag behind
    # the newest one, also when the machine's clock was put back since.
    now = max([time.time(), *(seconds(line.timestamp) for line in log.since(0)[1])])
    headers = {"Date": formatdate(now, usegmt=True), "Cache-Control": "no-store"}
    events = _log_events(space, build=build, tail=tail, asked=int(now))
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def stream_runtime(space: Space, settings: Callable[[], Settings]) -> Response:
    """What GET S/runtime answers, at once and whenever it changes.

    The Hub's description names this stream and not what is in it.
    """
    events = _runtime_events(space, settings)
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _log_events(
    space: Space, *, build: bool, tail: int | None, asked: int
) -> AsyncIterator[str]:
    """Lines; a build or start that begins meanwhile is followed too."""
    log = space.build_log if build else space.run_log
    number, lines = log.since(0)
    for line in lines if tail is None else lines[max(len(lines) - tail, 0) :]:
        yield _event({"data": line.text + "\n", "timestamp": line.timestamp})
    # A client that does not follow ends before the first line that is more than a second newer
    # than the reply; else it would wait until its read times out. For one that follows, this is
    # no text at all.
    yield _event({"data": "", "timestamp": timestamp(asked + 1.001)})
    alive = _KeepAlive()
    while space.state.stage != "DELETING":
        await asyncio.sleep(_FOLLOW_EVERY)
        current = space.build_log if build else space.run_log
        if current is not log:
            log, number = current, 0
        number, lines = log.since(number)
        for line in lines:
            yield _event({"data": line.text + "\n", "timestamp": line.timestamp})
        if alive.is_due(is_quiet=not lines):
            yield "data:\n\n"


async def _runtime_events(space: Space, settings: Callable[[], Settings]) -> AsyncIterator[str]:
    told: dict[str, Any] = {}
    alive = _KeepAlive()
    while True:
        try:
            now = runtime(space, await asyncio.to_thread(settings))
        except HubError:
            return  # the repository is gone
        is_new, told = now != told, now
        if is_new:
            yield _event(now)
        if now["stage"] == "DELETING":
            return
        if alive.is_due(is_quiet=not is_new):
            yield "data:\n\n"
        await asyncio.sleep(_FOLLOW_EVERY)


class _KeepAlive:
    """Tells when a stream has been quiet for too long."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def is_due(self, *, is_quiet: bool) -> bool:
        """Whether it is time to say something; counts anew then."""
        now = time.monotonic()
        is_due = is_quiet and now - self._since > _KEEP_ALIVE
        if is_due or not is_quiet:
            self._since = now
        return is_due


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
