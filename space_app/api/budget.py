"""One budget of memory over the requests of all connections: their bodies, and their replies.

A request takes from it what its body and its reply need, and gives all of it back when the reply is
sent or the client is gone. Who finds too little left gets 429.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from space_app.core.errors import Abandoned, Overloaded

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

LEAST = 256 * 1024 * 1024
"""Bytes of a budget, or four of the largest requests where that is more."""

SMALL = 64 * 1024
"""Bytes of a request that may take from the last eighth too, which large ones leave alone."""

_RETRY_AFTER = 5


class Budget:
    """Bytes that requests may hold together. Any thread may use it.

    Where there are several keys, the large requests of one take half of it at most.
    """

    def __init__(self, most: int, *, keys: int = 1):
        self._most = most
        self._for_large = most - most // 8
        self._for_one_key = self._for_large // (2 if keys > 1 else 1)
        self._held = 0
        self._held_by: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes that are taken now."""
        return self._held

    def take(self, size: int, lease: Lease) -> None:
        """As Lease.take."""
        with self._lock:
            if lease.ended:
                raise Abandoned("The request is over.")
            if lease.size + size <= SMALL:
                fits = self._held + size <= self._most
            else:
                of_key = self._held_by[lease.key] + size
                fits = self._held + size <= self._for_large and of_key <= self._for_one_key
            if not fits:
                raise Overloaded(
                    "The server holds as many large requests and replies as fit into its memory: "
                    "try again in a moment, or send less at a time.",
                    retry_after=_RETRY_AFTER,
                )
            self._held += size
            self._held_by[lease.key] += size
            lease.size += size

    def end(self, lease: Lease) -> None:
        """As Lease.end."""
        with self._lock:
            self._held -= lease.size
            self._held_by[lease.key] -= lease.size
            lease.size, lease.ended = 0, True


class Lease:
    """What one request has taken."""

    __slots__ = ("_budget", "ended", "key", "size")

    def __init__(self, budget: Budget):
        self._budget = budget
        self.key = ""
        """The name of the request's key; set before anything is taken."""
        self.size = 0
        self.ended = False

    def take(self, size: int) -> None:
        """Take so many bytes more.

        Raises:
            Overloaded: there are not so many left for this request.
            Abandoned: the request is over.
        """
        self._budget.take(size, self)

    def end(self) -> None:
        """Give all of it back."""
        self._budget.end(self)


class Leasing:
    """Gives each POST a lease, for as long as it is being answered."""

    def __init__(self, app: ASGIApp, *, budget: Budget):
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below."""
        if scope.get("method") != "POST":
            await self._app(scope, receive, send)
            return
        lease = Lease(self._budget)
        scope.setdefault("state", {})["lease"] = lease
        try:
            await self._app(scope, receive, send)
        finally:
            lease.end()


def lease_of(request: Request) -> Lease:
    """The lease of a POST."""
    lease: Lease = request.scope["state"]["lease"]
    return lease
