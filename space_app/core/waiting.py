"""What waits to be computed: the texts of requests, in one queue for each key and kind."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Kind(Enum):
    """How a request is scheduled."""

    INTERACTIVE = auto()
    BULK = auto()


INTERACTIVE_TEXTS = 8
INTERACTIVE_TOKENS = 512
"""What a request may have at most to be somebody waiting for an answer, not a bulk load."""


def kind_of(texts: int, tokens: int) -> Kind:
    """The kind of a request of this size."""
    small = texts <= INTERACTIVE_TEXTS and tokens <= INTERACTIVE_TOKENS
    return Kind.INTERACTIVE if small else Kind.BULK


class Item(NamedTuple):
    """One text that waits."""

    tokens: int
    request: int
    position: int


@dataclass(eq=False)
class Waiting:
    """A request's texts that no step has taken yet."""

    queue: Queue
    deadline: float
    window: float
    """Seconds from its arrival to its deadline."""
    expected: int
    """Tokens of texts that are not tokenised yet, as far as can be guessed."""
    served: float
    """Tokens it was given, counted from the others' when it came."""
    items: list[Item] = field(default_factory=list)
    """By length."""
    tokens: int = 0
    total: int = 0

    @property
    def left(self) -> int:
        """Tokens that wait, read or expected."""
        return self.tokens + self.expected

    def add(self, items: Iterable[Item], expected: int) -> None:
        """More of it was read."""
        added = list(items)
        tokens = sum(item.tokens for item in added)
        self.items = sorted(self.items + added)
        self.tokens += tokens
        self.total += tokens
        self.expected = expected

    def take(self, item: Item) -> None:
        """A step has this text."""
        del self.items[bisect_left(self.items, item)]
        self.tokens -= item.tokens
        self.served += item.tokens

    def spread(self, most: int) -> Iterator[Item]:
        """The longest texts, then some of every length."""
        longest = min(len(self.items), (most + 1) // 2)
        rest = len(self.items) - longest
        some = min(rest, most - longest)
        yield from self.items[: rest - 1 : -1] if rest else reversed(self.items)
        yield from (self.items[rest * n // some] for n in range(some))


@dataclass(eq=False)
class Queue:
    """The requests of one key and kind."""

    key: str
    kind: Kind
    served: float
    """Tokens it was given, counted from the other keys' when it came."""
    requests: int = 0
    ready: dict[int, Waiting] = field(default_factory=dict)
    """Requests with texts to compute, in the order in which they were read."""
    left: int = 0
    """Tokens that wait."""
    rate: float = 0.0
    """Tokens a second that keep the promises to them."""
    level: float = 0.0
    """What the request that was last in turn had been given."""

    def in_turn(self, most: int) -> list[Waiting]:
        """Requests with texts to compute: interactive as they came, bulk by what they were given.

        Who came later and asks for less is done sooner, without keeping others from their share.
        """
        if self.kind is Kind.INTERACTIVE:
            return list(islice(self.ready.values(), most))
        return heapq.nsmallest(most, self.ready.values(), key=attrgetter("served"))

    def earliest(self) -> Waiting:
        """Of those in `ready`, the one with the earliest deadline."""
        if self.kind is Kind.INTERACTIVE:
            return next(iter(self.ready.values()))
        return min(self.ready.values(), key=attrgetter("deadline"))
