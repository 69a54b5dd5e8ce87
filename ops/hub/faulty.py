"""Carries out the faults of requests, in front of a Hub's own origin or of a Space's."""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from ops.hub.accounts import credentials
from ops.hub.connections import cut
from ops.hub.errors import HubError
from ops.hub.faults import INTERFERENCES, Fault
from ops.hub.rate_limit import window_headers
from ops.hub.repository import Author, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ops.hub.faults import Action, Interference, Origin
    from ops.hub.state import HubState
    from ops.hub.store import Kind, Repo

LOCAL = "/_local/"
"""Where a running Hub is told about faults; these requests never suffer any."""

_SOMEBODY = "somebody-else"
_COMMITS = (
    re.compile(r"/api/(?P<kind>spaces|models|datasets)/(?P<owner>[^/]+)/(?P<name>[^/]+)/commit/.+"),
    re.compile(
        r"/(?:(?P<kind>spaces|datasets)/)?(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?"
        r"/git-receive-pack"
    ),
)
"""Requests that move a branch."""

_REPOSITORY = re.compile(
    r"/api/(?P<kind>spaces|models|datasets)/(?P<owner>[^/]+)/(?P<name>[^/]+)(?:/.*)?"
)
"""Requests about one repository."""


@dataclass(frozen=True)
class Faulty:
    """An ASGI app around another one."""

    app: ASGIApp
    hub: HubState
    origin: Origin = "hub"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with whatever is to go wrong with it."""
        if scope["type"] != "http" or scope["path"].startswith(LOCAL):
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if self.origin == "hub":
            self.hub.faults.note(method, path)
        take = partial(self.hub.faults.take, method=method, path=path, origin=self.origin)
        token = credentials(Headers(scope=scope).get("authorization"))
        if token is not None and take("revoke"):
            self.hub.accounts.revoke(token)
        if fault := take("outage"):
            self.hub.faults.add(Fault("cut", times=None, when=fault.when, origin=self.origin))
        for found, action in _interferences(method, path, take):
            await run_in_threadpool(self._interfere, found, action)
        if fault := take("delay"):
            await asyncio.sleep(fault.seconds)
        if fault := take("status"):
            await _refusal(fault).response()(scope, receive, send)
        elif fault := take("cut") or take("hang"):
            await _Lost(self.app, fault, self.hub.faults.withhold)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _interfere(self, found: re.Match[str], action: Interference) -> None:
        kind = cast("Kind", found["kind"] or "models")
        try:
            repo = self.hub.store.find(kind, found["owner"], found["name"])
        except HubError:
            return  # its own handler says so
        if action == "commit":
            self._commit(repo)
        elif repo.kind == "spaces":
            space = self.hub.space(repo)
            (space.pause if action == "pause" else space.sleep)()

    def _commit(self, repo: Repo) -> None:
        repo.git.commit(
            [Write("SOMEBODY_ELSE.md", f"{secrets.token_hex(8)}\n".encode())],
            message="Somebody else's change\n",
            author=Author(_SOMEBODY),
        )
        self.hub.committed(repo)


def _interferences(
    method: str, path: str, take: Callable[[Action], Fault | None]
) -> Iterator[tuple[re.Match[str], Interference]]:
    """What somebody else does first, each with the repository that the request names."""
    if (found := _moves_branch(method, path)) and take("conflict"):
        yield found, "commit"
    if found := _REPOSITORY.fullmatch(path):
        for action in INTERFERENCES:
            if take(action):
                yield found, action


def _moves_branch(method: str, path: str) -> re.Match[str] | None:
    if method != "POST":
        return None
    return next((m for pattern in _COMMITS if (m := pattern.fullmatch(path))), None)


def _refusal(fault: Fault) -> HubError:
    """A status with the headers by which the client decides when to try again."""
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.rate_limit is not None:
        headers |= window_headers("api", 500, 0, reset=fault.rate_limit, window=300)
    return HubError(fault.status, f"The fault {fault.status} was ordered", headers=headers)


@dataclass(frozen=True)
class _Lost:
    """Lets one request have no reply, or half of one: "cut" loses its connection."""

    app: ASGIApp
    fault: Fault
    withhold: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.fault.when == "after":
            await self._answer(scope, receive, _LostReply())
        elif self.fault.when == "body":
            await self._answer(scope, receive, _CutBody(send, self.fault.after))
        self.withhold()
        if self.fault.action == "cut":
            cut(scope, flush=self.fault.when == "body")
        # Until uvicorn has heard of it, it would take the missing reply for a mistake, and say so.
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _answer(self, scope: Scope, receive: Receive, reply: _LostReply | _CutBody) -> None:
        """Let the app work until as much of its reply has come as there is to be."""
        tasks = (
            asyncio.ensure_future(self.app(scope, receive, reply)),
            asyncio.ensure_future(reply.over.wait()),
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class _LostReply:
    """Takes a reply, which nobody gets; a stream without an end is over when it begins."""

    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            is_over = (
                Headers(raw=message["headers"])
                .get("content-type", "")
                .startswith("text/event-stream")
            )
        else:
            is_over = not message.get("more_body", False)
        if is_over:
            self.over.set()


@dataclass
class _CutBody:
    """Sends a reply on, up to `left` bytes of its body and never all of it."""

    send: Send
    left: int
    start: Message | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        part = body[: self.left]
        if is_last and part == body:
            part = body[:-1]
        if body and self.start is not None:
            await self.send(self.start)
            self.start = None
        if part:
            await self.send({"type": "http.response.body", "body": part, "more_body": True})
        self.left -= len(part)
        if is_last or (body and not self.left):
            self.over.set()
