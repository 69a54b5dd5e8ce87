"""Decides what is computed next: which texts of which requests make the next step.

Pure: no clock, no thread, no model. Texts of all requests are packed together, so that a step is
full whenever enough of them wait. Interactive requests come first and take along what they have
room for; bulk requests share what is left, and are never without a share. Keys have equal parts of
both. Where a promise would be broken by that, the earliest deadline comes first.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from space_app.core.pace import Pace
from space_app.core.packing import pack
from space_app.core.promise import PLANNED, Asked, Promise
from space_app.core.waiting import INTERACTIVE_TOKENS, Item, Kind, Queue, Waiting, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from space_app.core.types import Shape


BULK_SHARE = 0.25
"""Of the computing time, what bulk requests get at least while interactive ones wait."""

SHORT_STEP = {Kind.INTERACTIVE: 2, Kind.BULK: 4}
"""While interactive requests come, a step takes at most so many times the shortest one.

Who comes in between waits for one step and is in the next: a few times as long as without the bulk,
which has steps of which most are nearly as good as its longest.
"""

RECENT_SECONDS = 1.0
"""How long after an interactive request another one is expected."""

MAX_WAIT = 30.0
"""Seconds in which an admitted request is answered, unless it is a very large one."""

_CANDIDATES = 64
_REQUESTS = 16
_OVERHEAD = 0.0005
"""Seconds of a step besides computing."""


@dataclass(frozen=True)
class Step:
    """Texts that are computed together, in rows; `shape` of the embedder's is what they cost."""

    rows: tuple[tuple[Item, ...], ...]
    shape: Shape

    @property
    def items(self) -> tuple[Item, ...]:
        """All texts, in the order of the rows."""
        return tuple(item for row in self.rows for item in row)

    @property
    def requests(self) -> frozenset[int]:
        """Whose texts they are."""
        return frozenset(item.request for item in self.items)


@dataclass(frozen=True)
class Load:
    """What waits."""

    texts: int
    tokens: int
    seconds: float
    """Until all of it is computed."""


class Scheduler:
    """The texts that wait, and the next step of them.

    `now` is any clock's seconds, as long as it is always the same clock's.
    """

    def __init__(self, shapes: Sequence[Shape], most_texts: int, max_wait: float = MAX_WAIT):
        self.pace = Pace(shapes)
        self._shapes = tuple(shapes)
        self._widest = max(shape.width for shape in shapes)
        self._most_texts = most_texts
        self._promise = Promise(max_wait)
        self._waiting: dict[int, Waiting] = {}
        self._queues: dict[tuple[str, Kind], Queue] = {}
        self._level: defaultdict[Kind, float] = defaultdict(float)
        """What the key that was last in turn had been given."""
        self._apart: deque[Step] = deque()
        self._owed = 0.0
        """Seconds that bulk requests have a claim to before the next interactive one."""
        self._interactive_at = -math.inf
        self._ended: float | None = None
        """When the last step ended, while more waits."""

    def refuse(
        self, *, texts: int, tokens: int, key: str = "", mark: int = 0, now: float
    ) -> float | None:
        """Seconds after which a request of this size is taken; None: it is now.

        Room is kept for it until then: it is known by its `mark`.
        """
        asked = Asked(key, kind_of(texts, tokens), tokens, mark)
        return self._promise.refuse(asked, self._queues, now, self.pace.seconds_per_token)

    def enter(self, request: int, *, texts: int, expected: int, now: float, key: str = "") -> None:
        """A request is here, whose texts will be added; `expected` is a guess of their tokens."""
        kind = kind_of(texts, expected)
        window = self._promise.window(expected * self.pace.seconds_per_token)
        queue = self._queue(key, kind)
        waiting = Waiting(queue, now + window, window, 0, queue.level)
        queue.requests += 1
        self._waiting[request] = waiting
        self._expect(waiting, expected)
        if kind is Kind.INTERACTIVE:
            self._interactive_at = now

    def add(self, request: int, texts: Iterable[tuple[int, int]], *, expected: int) -> None:
        """Texts of a request are tokenised: position and tokens; `expected` guesses the others."""
        waiting = self._waiting[request]
        items = [Item(tokens, request, position) for position, tokens in texts]
        if any(not 0 < item.tokens <= self._widest for item in items):
            raise ValueError("a text that fits into no step: this is a bug of the embedder's")
        before = waiting.left
        waiting.add(items, expected)
        if items:
            waiting.queue.ready[request] = waiting
        self._count(waiting, waiting.left - before)
        if waiting.total > INTERACTIVE_TOKENS and waiting.queue.kind is Kind.INTERACTIVE:
            self._move(request, waiting, Kind.BULK)

    def drop(self, request: int) -> None:
        """Forget a request: nothing of it that is left is computed."""
        if (waiting := self._waiting.pop(request, None)) is not None:
            self._leave(request, waiting)
        self._apart = deque(step for step in self._apart if request not in step.requests)

    def apart(self, step: Step) -> None:
        """A step failed: compute what is left of it once more, each request's texts by themselves.

        Only for a step of several requests: one that fails alone fails again.
        """
        for request in sorted(step.requests & self._waiting.keys()):
            own = (tuple(item for item in row if item.request == request) for row in step.rows)
            rows = tuple(row for row in own if row)
            self._apart.append(Step(rows, self._fitting(rows)))

    def next_step(self, now: float) -> Step | None:
        """What to compute now; None when nothing waits."""
        if self._apart:
            return self._apart.popleft()
        interactive = self._in_turn(Kind.INTERACTIVE)
        bulk = self._in_turn(Kind.BULK)
        if interactive:
            self._interactive_at = now
        if not interactive or not bulk:
            self._owed = 0.0
        if not interactive and not bulk:
            self._ended = None
            return None
        bulk_leads = not interactive or self._owes(bulk)
        order = bulk + interactive if bulk_leads else interactive + bulk
        if self._promise.strain(now, self.pace.seconds_per_token) > PLANNED:
            order = self._urgent((interactive or bulk)[0])
            costs = self._priced(order[0], self._shapes)
            return self._packed(order, costs, self._beside(order))
        order = order[:_REQUESTS]
        costs = self._costs(order[0], now)
        return self._packed(order, costs, self._first(order, costs))

    def observe(self, step: Step, seconds: float, now: float) -> None:
        """A step took so long, and ended now."""
        self.pace.observe(step.shape, seconds)
        # What did not fill a step when it could have does not show what a full queue takes.
        if self._ended is not None and step.items and self._left() > self._shapes[-1].tokens:
            self.pace.worked(sum(item.tokens for item in step.items), now - self._ended)
        self._ended = now

    def load(self) -> Load:
        """What waits, tokenised or not."""
        texts = sum(len(waiting.items) for waiting in self._waiting.values())
        tokens = self._left()
        return Load(texts, tokens, tokens * self.pace.seconds_per_token)

    def _left(self, kind: Kind | None = None) -> int:
        """Tokens that wait."""
        queues = self._queues.values()
        return sum(queue.left for queue in queues if kind is None or queue.kind is kind)

    def _queue(self, key: str, kind: Kind) -> Queue:
        if (found := self._queues.get((key, kind))) is None:
            found = self._queues[key, kind] = Queue(key, kind, self._level[kind])
        return found

    def _count(self, waiting: Waiting, tokens: int) -> None:
        """So many more of a request's tokens wait, or fewer."""
        waiting.queue.left += tokens
        waiting.queue.rate += tokens / waiting.window
        self._promise.change(waiting.deadline, tokens)

    def _expect(self, waiting: Waiting, tokens: int) -> None:
        waiting.expected += tokens
        self._count(waiting, tokens)

    def _leave(self, request: int, waiting: Waiting) -> None:
        queue = waiting.queue
        self._count(waiting, -waiting.left)
        queue.ready.pop(request, None)
        queue.requests -= 1
        if not queue.requests:
            del self._queues[queue.key, queue.kind]

    def _move(self, request: int, waiting: Waiting, kind: Kind) -> None:
        """It is of another kind than its size seemed to say."""
        queue = self._queue(waiting.queue.key, kind)
        self._leave(request, waiting)
        queue.requests += 1
        queue.ready[request] = waiting
        waiting.queue, waiting.served = queue, queue.level
        self._count(waiting, waiting.left)

    def _in_turn(self, kind: Kind) -> list[Waiting]:
        """Requests with texts to compute, those first whose key was given least."""
        queues = [queue for queue in self._queues.values() if queue.kind is kind and queue.ready]
        found: list[Waiting] = []
        for queue in sorted(queues, key=attrgetter("served")):
            found += queue.in_turn(_REQUESTS - len(found))
        return found

    def _urgent(self, first: Waiting) -> list[Waiting]:
        """The earliest deadline, and who would be first without."""
        ready = (queue.earliest() for queue in self._queues.values() if queue.ready)
        earliest = min(ready, key=attrgetter("deadline"))
        return [earliest] if earliest is first else [earliest, first]

    def _beside(self, order: Sequence[Waiting]) -> list[Item]:
        """What is in an urgent step at any rate: a text of the first, all of a small second."""
        longest, second = order[0].items[-1:], order[-1]
        room = min(self._widest // 4, self._widest - longest[0].tokens)
        if len(order) > 1 and second.tokens <= room and len(second.items) < self._most_texts:
            return longest + second.items
        return longest

    def _owes(self, bulk: Sequence[Waiting]) -> bool:
        return bool(bulk) and self._owed >= self.pace.seconds(self._fitting((bulk[0].items[-1:],)))

    def _packed(
        self, order: Sequence[Waiting], costs: dict[Shape, float], first: list[Item]
    ) -> Step:
        each = max(_CANDIDATES // len(order), 4)
        taken = {id(item) for item in first}
        texts = first + [
            item for waiting in order for item in waiting.spread(each) if id(item) not in taken
        ]
        packed = pack(
            [item.tokens for item in texts],
            anchors=len(first),
            most=self._most_texts,
            seconds=costs,
        )
        rows = tuple(tuple(texts[index] for index in row) for row in packed.rows)
        step = Step(rows, packed.shape)
        self._account(step, order[0])
        return step

    def _first(self, order: Sequence[Waiting], costs: dict[Shape, float]) -> list[Item]:
        """What is in the step at any rate: all that is interactive if it fits, else one text."""
        if order[0].queue.kind is Kind.INTERACTIVE:
            interactive = [w for w in order if w.queue.kind is Kind.INTERACTIVE]
            texts = sum(len(waiting.items) for waiting in interactive)
            tokens = sum(waiting.tokens for waiting in interactive)
            widest = max(shape.width for shape in costs)
            if texts <= self._most_texts and tokens <= widest:
                return [item for waiting in interactive for item in waiting.items]
        return order[0].items[-1:]

    def _costs(self, leader: Waiting, now: float) -> dict[Shape, float]:
        """The shapes that the next step may have, and what they cost."""
        if now - self._interactive_at > RECENT_SECONDS:
            return self._priced(leader, self._shapes)
        kind = leader.queue.kind
        longest = SHORT_STEP[kind] * self.pace.seconds(self._shapes[0])
        enough = self._enough(kind)
        return self._priced(
            leader,
            [s for s in self._shapes if self.pace.seconds(s) <= longest or s.tokens <= enough],
        )

    def _priced(self, leader: Waiting, shapes: Sequence[Shape]) -> dict[Shape, float]:
        """The shapes that hold the leader's longest text, or else the smallest that does."""
        longest = leader.items[-1].tokens
        fitting = [shape for shape in shapes if shape.width >= longest] or [
            next(shape for shape in self._shapes if shape.width >= longest)
        ]
        return {shape: self.pace.seconds(shape) + _OVERHEAD for shape in fitting}

    def _enough(self, leader: Kind) -> int:
        """The tokens that hold all interactive texts: done together, they are done soon."""
        if leader is Kind.BULK:
            return 0
        tokens = self._left(Kind.INTERACTIVE)
        sizes = (shape.tokens for shape in self._shapes)
        return next((size for size in sizes if size >= tokens), self._shapes[-1].tokens)

    def _account(self, step: Step, leader: Waiting) -> None:
        """Take the texts out of their requests, and write down who was given what."""
        queue, seconds = leader.queue, self.pace.seconds(step.shape)
        self._level[queue.kind] = max(self._level[queue.kind], queue.served)
        given = 0
        for item in step.items:
            waiting = self._waiting[item.request]
            waiting.take(item)
            if not waiting.items:
                del waiting.queue.ready[item.request]
            waiting.queue.served += item.tokens
            self._count(waiting, -item.tokens)
            if waiting.queue.kind is Kind.BULK:
                given += item.tokens
        queue.level = max(queue.level, leader.served)
        if queue.kind is Kind.BULK:
            self._owed = max(-seconds, self._owed - seconds)
        else:
            share = given / sum(item.tokens for item in step.items)
            self._owed = max(-seconds, self._owed + seconds * (BULK_SHARE - share))

    def _fitting(self, rows: Sequence[Sequence[Item]]) -> Shape:
        totals = [sum(item.tokens for item in row) for row in rows]
        return next(shape for shape in self._shapes if shape.holds(totals))
