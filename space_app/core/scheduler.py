"""Decides what is computed next: which texts of which requests make the next step.

Pure: no clock, no thread, no model. Texts of all requests are packed together, so that a step is
full whenever enough of them wait. Interactive requests come first and take along what they have
room for; bulk requests share what is left, and are never without a share.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from space_app.core.pace import Pace
from space_app.core.packing import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from space_app.core.types import Shape


class Kind(Enum):
    """How a request is scheduled."""

    INTERACTIVE = auto()
    BULK = auto()


INTERACTIVE_TEXTS = 8
INTERACTIVE_TOKENS = 512
"""What a request may have at most to be somebody waiting for an answer, not a bulk load."""

BULK_SHARE = 0.25
"""Of the computing time, what bulk requests get at least while interactive ones wait."""

SHORT_STEP = {Kind.INTERACTIVE: 2, Kind.BULK: 4}
"""While interactive requests come, a step takes at most so many times the shortest one.

Who comes in between waits for one step and is in the next: a few times as long as without the bulk,
which has steps of which most are nearly as good as its longest.
"""

RECENT_SECONDS = 1.0
"""How long after an interactive request another one is expected."""

_CANDIDATES = 64
_REQUESTS = 16
_OVERHEAD = 0.0005
"""Seconds of a step besides computing."""


class Item(NamedTuple):
    """One text that waits."""

    tokens: int
    request: int
    position: int


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


@dataclass
class _Waiting:
    """A request's texts that no step has taken yet."""

    kind: Kind
    served: float
    """Tokens it was given, counted from the others' when it came."""
    expected: int
    """Tokens of texts that are not tokenised yet, as far as can be guessed."""
    items: list[Item] = field(default_factory=list)
    """By length."""
    tokens: int = 0
    total: int = 0

    @property
    def left(self) -> int:
        return self.tokens + self.expected

    def spread(self, most: int) -> Iterator[Item]:
        """The longest texts, then some of every length."""
        longest = min(len(self.items), (most + 1) // 2)
        rest = len(self.items) - longest
        some = min(rest, most - longest)
        yield from self.items[: rest - 1 : -1] if rest else reversed(self.items)
        yield from (self.items[rest * n // some] for n in range(some))


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

    def __init__(self, shapes: Sequence[Shape], most_texts: int):
        self.pace = Pace(shapes)
        self._shapes = tuple(shapes)
        self._widest = max(shape.width for shape in shapes)
        self._most_texts = most_texts
        self._waiting: dict[int, _Waiting] = {}
        self._apart: deque[Step] = deque()
        self._served = 0.0
        self._owed = 0.0
        """Seconds that bulk requests have a claim to before the next interactive one."""
        self._interactive_at = -math.inf

    def enter(self, request: int, *, texts: int, expected: int, now: float) -> None:
        """A request is here, whose texts will be added; `expected` is a guess of their tokens."""
        kind = _kind(texts, expected)
        self._waiting[request] = _Waiting(kind, self._served, expected)
        if kind is Kind.INTERACTIVE:
            self._interactive_at = now

    def add(self, request: int, texts: Iterable[tuple[int, int]], *, expected: int) -> None:
        """Texts of a request are tokenised: position and tokens; `expected` guesses the others."""
        waiting = self._waiting[request]
        items = [Item(tokens, request, position) for position, tokens in texts]
        if any(not 0 < item.tokens <= self._widest for item in items):
            raise ValueError("a text that fits into no step: this is a bug of the embedder's")
        waiting.items = sorted(waiting.items + items)
        tokens = sum(item.tokens for item in items)
        waiting.tokens += tokens
        waiting.total += tokens
        waiting.expected = expected
        if waiting.total > INTERACTIVE_TOKENS:
            waiting.kind = Kind.BULK

    def drop(self, request: int) -> None:
        """Forget a request: nothing of it that is left is computed."""
        self._waiting.pop(request, None)
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
            return None
        bulk_leads = not interactive or self._owes(bulk)
        order = bulk + interactive if bulk_leads else interactive + bulk
        return self._packed(order[:_REQUESTS], now)

    def observe(self, step: Step, seconds: float) -> None:
        """A step took so long."""
        self.pace.observe(step.shape, seconds)

    def wait(self, *, texts: int, tokens: int) -> float:
        """Seconds that a request of this size would wait for others."""
        interactive = self._tokens(Kind.INTERACTIVE)
        if _kind(texts, tokens) is Kind.INTERACTIVE:
            share = 1 - BULK_SHARE if self._tokens(Kind.BULK) else 1
            return interactive * self.pace.seconds_per_token / share
        bulk = (w.left for w in self._waiting.values() if w.kind is Kind.BULK)
        # In turn with the others: who has more than this one does not keep it that much longer.
        ahead = interactive + sum(min(left, tokens) for left in bulk)
        return ahead * self.pace.seconds_per_token

    def load(self) -> Load:
        """What waits, tokenised or not."""
        tokens = sum(waiting.left for waiting in self._waiting.values())
        texts = sum(len(waiting.items) for waiting in self._waiting.values())
        return Load(texts, tokens, tokens * self.pace.seconds_per_token)

    def _tokens(self, kind: Kind) -> int:
        return sum(waiting.left for waiting in self._waiting.values() if waiting.kind is kind)

    def _in_turn(self, kind: Kind) -> list[_Waiting]:
        """Requests with texts to compute: interactive as they came, bulk by what they were given.

        Who came later and asks for less is done sooner, without keeping others from their share.
        """
        found = [w for w in self._waiting.values() if w.kind is kind and w.items]
        return sorted(found, key=lambda w: w.served) if kind is Kind.BULK else found

    def _owes(self, bulk: Sequence[_Waiting]) -> bool:
        return bool(bulk) and self._owed >= self.pace.seconds(self._fitting((bulk[0].items[-1:],)))

    def _packed(self, order: Sequence[_Waiting], now: float) -> Step:
        leader, anchor = order[0].kind, order[0].items[-1]
        costs = self._costs(anchor.tokens, leader, now)
        first = self._first(order, at_most=max(shape.width for shape in costs))
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
        self._account(step, leader)
        return step

    def _first(self, order: Sequence[_Waiting], *, at_most: int) -> list[Item]:
        """What is in the step at any rate: all that is interactive if it fits, else one text."""
        if order[0].kind is Kind.INTERACTIVE:
            interactive = [w for w in order if w.kind is Kind.INTERACTIVE]
            texts = sum(len(waiting.items) for waiting in interactive)
            tokens = sum(waiting.tokens for waiting in interactive)
            if texts <= self._most_texts and tokens <= at_most:
                return [item for waiting in interactive for item in waiting.items]
        return order[0].items[-1:]

    def _costs(self, anchor: int, leader: Kind, now: float) -> dict[Shape, float]:
        """The shapes that the next step may have, and what they cost."""
        fitting = [shape for shape in self._shapes if shape.width >= anchor]
        costs = {shape: self.pace.seconds(shape) for shape in fitting}
        if now - self._interactive_at > RECENT_SECONDS:
            permitted = fitting
        else:
            longest = SHORT_STEP[leader] * self.pace.seconds(self._shapes[0])
            enough = self._enough(leader)
            permitted = [
                shape for shape in fitting if costs[shape] <= longest or shape.tokens <= enough
            ] or fitting[:1]
        return {shape: costs[shape] + _OVERHEAD for shape in permitted}

    def _enough(self, leader: Kind) -> int:
        """The tokens that hold all interactive texts: done together, they are done soon."""
        if leader is Kind.BULK:
            return 0
        tokens = self._tokens(Kind.INTERACTIVE)
        sizes = (shape.tokens for shape in self._shapes)
        return next((size for size in sizes if size >= tokens), self._shapes[-1].tokens)

    def _account(self, step: Step, leader: Kind) -> None:
        """Take the texts out of their requests, and write down who was given what."""
        seconds = self.pace.seconds(step.shape)
        given = 0
        for item in step.items:
            waiting = self._waiting[item.request]
            del waiting.items[bisect_left(waiting.items, item)]
            waiting.tokens -= item.tokens
            waiting.served += item.tokens
            if waiting.kind is Kind.BULK:
                given += item.tokens
        if leader is Kind.BULK:
            self._served = max(self._served, self._waiting[step.rows[0][0].request].served)
            self._owed = max(-seconds, self._owed - seconds)
        else:
            share = given / sum(item.tokens for item in step.items)
            self._owed = max(-seconds, self._owed + seconds * (BULK_SHARE - share))

    def _fitting(self, rows: Sequence[Sequence[Item]]) -> Shape:
        totals = [sum(item.tokens for item in row) for row in rows]
        return next(shape for shape in self._shapes if shape.holds(totals))


def _kind(texts: int, tokens: int) -> Kind:
    small = texts <= INTERACTIVE_TEXTS and tokens <= INTERACTIVE_TOKENS
    return Kind.INTERACTIVE if small else Kind.BULK
