"""Faults that a local Hub commits when it is told to: which, on what, and how often.

Who carries one out asks with `take`, which uses it up. Requests' faults are `faulty`'s to carry
out, a Space's are its own.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

Interference = Literal["pause", "sleep", "commit"]
"""What becomes of the repository that a request names, before the request is carried out."""

RequestAction = Literal[
    "delay", "status", "cut", "hang", "outage", "conflict", "revoke", Interference
]
SpaceAction = Literal["fail-build", "slow-build", "hang-start", "crash"]
Action = Literal[RequestAction, SpaceAction]
When = Literal["before", "after", "body"]
Origin = Literal["hub", "space"]

REQUEST_ACTIONS: tuple[RequestAction, ...] = get_args(RequestAction)
INTERFERENCES: tuple[Interference, ...] = get_args(Interference)
SPACE_ACTIONS: tuple[SpaceAction, ...] = get_args(SpaceAction)
_MOST_SEEN = 10_000


@dataclass(frozen=True)
class Fault:
    """One fault; what it does not need is left as it is.

    Args:
        action: what goes wrong.
        repo_id: only with this repository.
        method: only requests with this method.
        path: only requests whose path fits this pattern, `*` being anything.
        skip: how many that match go well first.
        times: how often, then; None for always.
        status: what "status" answers.
        retry_after: seconds in its Retry-After header, when given.
        rate_limit: seconds until the reset in its RateLimit header, when given.
        seconds: how long "delay" holds a request, "slow-build" a build.
        when: "cut" ends the connection before anything is done, after it was done but without
            the reply, or within the reply's body; "hang" keeps it open instead, until the client
            has had enough; "outage" cuts every later one as well, until faults are called off.
        after: bytes of the body that "cut" and "hang" still send; requests that "crash" still
            answers.
        step: lines of the log after which "fail-build" fails.
        origin: whether requests to the Hub are meant, or to a Space's own origin.
    """

    action: Action
    repo_id: str = ""
    method: str = ""
    path: str = "*"
    skip: int = 0
    times: int | None = 1
    status: int = 500
    retry_after: int | None = None
    rate_limit: int | None = None
    seconds: float = 1.0
    when: When = "before"
    after: int = 0
    step: int = 0
    origin: Origin = "hub"

    def matches(self, repo_id: str, method: str, path: str, origin: Origin) -> bool:
        """Whether a request, or a Space's step, is meant."""
        return (
            self.origin == origin
            and (not self.method or self.method == method)
            and fnmatchcase(path, self.path)
            and (not self.repo_id or self.repo_id == repo_id or _is_in(self.repo_id, path))
        )


def _is_in(repo_id: str, path: str) -> bool:
    """Whether a request's path names the repository."""
    whole = path + "/"
    return f"/{repo_id}/" in whole or f"/{repo_id}.git/" in whole


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str


@dataclass
class _Armed:
    """A fault with what is left of it."""

    number: int
    fault: Fault
    skipped: int = 0
    taken: int = 0

    @property
    def is_spent(self) -> bool:
        return self.fault.times is not None and self.taken >= self.fault.times


@dataclass(frozen=True)
class Pending:
    """A fault that is still to come; `taken` is how often it has happened."""

    number: int
    fault: Fault
    taken: int


class Faults:
    """The faults of one Hub, and the requests that it has seen; safe to use from any thread."""

    def __init__(self, faults: tuple[Fault, ...] = ()):
        self._armed: list[_Armed] = []
        self._seen: deque[Seen] = deque(maxlen=_MOST_SEEN)
        self._withheld = 0
        self._next = 1
        self._lock = threading.Lock()
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> int:
        """From now on; returns the number by which it can be removed."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._armed.append(_Armed(number, fault))
            return number

    def remove(self, number: int) -> bool:
        """Call off one; False when there is none of that number."""
        with self._lock:
            before = len(self._armed)
            self._armed = [a for a in self._armed if a.number != number]
            return len(self._armed) < before

    def clear(self) -> None:
        """Call off all."""
        with self._lock:
            self._armed.clear()

    @property
    def pending(self) -> tuple[Pending, ...]:
        """Those still to come."""
        with self._lock:
            return tuple(Pending(a.number, a.fault, a.taken) for a in self._armed)

    def take(
        self,
        action: Action,
        *,
        repo_id: str = "",
        method: str = "",
        path: str = "",
        origin: Origin = "hub",
    ) -> Fault | None:
        """The first fault of this kind that is meant here, which is then used up once.

        Every fault that matches counts a skip, also when an earlier one is taken.
        """
        with self._lock:
            found = None
            for armed in self._armed:
                if armed.fault.action != action or not armed.fault.matches(
                    repo_id, method, path, origin
                ):
                    continue
                if armed.skipped < armed.fault.skip:
                    armed.skipped += 1
                elif found is None:
                    armed.taken += 1
                    found = armed.fault
            self._armed = [a for a in self._armed if not a.is_spent]
            return found

    def withhold(self) -> None:
        """Count a request that is done as far as it will be, and whose reply does not go out."""
        with self._lock:
            self._withheld += 1

    @property
    def withheld(self) -> int:
        """How many replies "cut" and "hang" have kept back so far, in whole or in part.

        A fault that is no longer pending may still be at work; this rises when it is through.
        """
        with self._lock:
            return self._withheld

    def note(self, method: str, path: str) -> None:
        """Remember a request."""
        with self._lock:
            self._seen.append(Seen(method, path))

    def mark(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._seen.clear()

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The requests to the Hub since the last mark, the newest ten thousand of them."""
        with self._lock:
            return tuple(self._seen)
