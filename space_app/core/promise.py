"""Who is let in: whoever can be answered in time without breaking a promise made to others.

Pure, as the scheduler is. An admitted request has a deadline. It is admitted if all that is due
until then, and until each later deadline, fits into the time left (the test of "earliest deadline
first", which is exact): the scheduler needs only to prefer deadlines where the fit becomes tight.

No key fills the queue: each may hold a multiple of what is still free, for either kind of request.
A key alone gets most of the queue, two get equal parts, and whoever comes new always finds room.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from space_app.core.waiting import Kind, Queue

PLANNED = 0.8
"""How much of the time before a deadline is given away: the rest is for what was not foreseen."""

_TIGHT = 0.9
"""The same where it is only checked that nobody else's promise is broken."""

_RETURNED = 1.1
"""How much more a key may hold for a request that was told when to come back."""

_KEPT = 0.5
"""The part of a key's room that is for requests that were told when to come back, at most."""

_MARGIN = 1.15
"""How much later than expected they are told to."""

_AIM = 0.85
"""The part of the promise after which a request should be answered."""

_STRETCH = 2
"""A request that is too large for the promise is done in so many times what it takes alone."""

_MULTIPLE = 4
"""How many times what is free one key may hold."""

_ALWAYS = 0.03
"""The part of a window that each key may hold whatever the others hold."""

_SLOTS = 32
"""Deadlines are counted in parts of the promise."""

_EARLY = 0.1
_GRACE = 2.0
_GRACE_PART = 0.25
"""Seconds, and a part of the wait, that somebody may come back too early or too late."""

_MOST_TICKETS = 10_000
"""For how many requests of one key and kind room is kept."""


class Asked(NamedTuple):
    """A request that wants to be let in. The same request has the same `mark` when it returns."""

    key: str
    kind: Kind
    tokens: int
    mark: int = 0


class _Ticket(NamedTuple):
    """What a refused request was told: when to come back, and the tokens a second kept for it."""

    due: float
    until: float
    rate: float


class _Tickets:
    """Those of one key and kind, in the order of their first refusal, by the requests' marks."""

    def __init__(self) -> None:
        self._by_mark: dict[int, _Ticket] = {}
        self.rate = 0.0
        """What is kept for all of them."""

    @property
    def first(self) -> float:
        """What is kept for the one that was refused first."""
        return next((ticket.rate for ticket in self._by_mark.values()), 0.0)

    def get(self, mark: int) -> _Ticket | None:
        """The ticket of a request."""
        return self._by_mark.get(mark)

    def before(self, mark: int) -> float:
        """What is kept for those that were refused before this one was."""
        rate = 0.0
        for other, ticket in self._by_mark.items():
            if other == mark:
                return rate
            rate += ticket.rate
        return rate

    def put(self, mark: int, ticket: _Ticket) -> None:
        """Keep room for a request that comes back; beyond so many none is kept."""
        if (old := self._by_mark.get(mark)) is not None or len(self._by_mark) < _MOST_TICKETS:
            self._by_mark[mark] = ticket
            self.rate += ticket.rate - (old.rate if old else 0)

    def drop(self, mark: int) -> None:
        """It came back, or never will."""
        if (ticket := self._by_mark.pop(mark, None)) is not None:
            self.rate = self.rate - ticket.rate if self._by_mark else 0.0

    def expire(self, now: float) -> None:
        """Drop those that nobody came back with, oldest first."""
        while self._by_mark:
            mark, ticket = next(iter(self._by_mark.items()))
            if ticket.until >= now:
                return
            self.drop(mark)


class Promise:
    """The deadlines of what waits, and the room that is kept for those who were sent away."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._slot = max(seconds / _SLOTS, 0.05)
        self._due: defaultdict[int, int] = defaultdict(int)
        self._tickets: defaultdict[tuple[str, Kind], _Tickets] = defaultdict(_Tickets)

    def window(self, alone: float) -> float:
        """Seconds in which a request should be answered that takes so long when it is alone."""
        return _AIM * max(self._seconds, _STRETCH * alone, 1e-3)

    def change(self, deadline: float, tokens: int) -> None:
        """So many more tokens, or fewer, are to be computed until then."""
        slot = int(deadline / self._slot)
        self._due[slot] += tokens
        if not self._due[slot]:
            del self._due[slot]

    def strain(self, now: float, pace: float) -> float:
        """How much of the time that is left takes what is due until then: 1 is all of it."""
        highest = total = 0.0
        for slot in sorted(self._due):
            total += self._due[slot] * pace
            highest = max(highest, total / max(slot * self._slot - now, 1e-3))
        return highest

    def refuse(
        self, asked: Asked, queues: dict[tuple[str, Kind], Queue], now: float, pace: float
    ) -> float | None:
        """Seconds after which the request is taken; None: it is now. `pace` is of a token."""
        name = (asked.key, asked.kind)
        tickets = self._tickets[name]
        tickets.expire(now)
        ticket = tickets.get(asked.mark)
        if ticket is not None and now < ticket.due - _EARLY:
            return ticket.due - now
        alone = asked.tokens * pace
        window = self.window(alone)
        own = queues[name].rate * pace if name in queues else 0.0
        others = sum(queue.rate for queue in queues.values()) * pace - own
        if ticket is None:
            # Whoever is next of the others finds room, however much it needs.
            others += sum(t.first for other, t in self._tickets.items() if other != name) * pace
        most = max((PLANNED - others) * _MULTIPLE / (_MULTIPLE + 1), _ALWAYS)
        wanted = own + alone / window
        late = self._late(now, pace, alone, window)
        kept = min(tickets.rate * pace, most * _KEPT)
        if late <= 0 and wanted <= (most * _RETURNED if ticket else most - kept):
            tickets.drop(asked.mark)
            return None
        excess = wanted + tickets.before(asked.mark) * pace - most
        served = own / (own + others) if own else 1.0
        wait = max(1, math.ceil(_MARGIN * max(late, excess * self._seconds / served)))
        until = now + wait + max(_GRACE, _GRACE_PART * wait)
        tickets.put(asked.mark, _Ticket(now + wait, until, asked.tokens / window))
        return wait

    def _late(self, now: float, pace: float, alone: float, window: float) -> float:
        """Seconds by which the plan would be exceeded if this much more were due in the window."""
        own = int((now + window) / self._slot)
        total, worst = alone, -math.inf
        for slot in sorted({*self._due, own}):
            total += self._due.get(slot, 0) * pace
            if slot >= own:
                worst = max(worst, total - _TIGHT * max(slot * self._slot - now, 0))
        return worst
