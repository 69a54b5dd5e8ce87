"""How long steps take on this machine, learned from those that were taken."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_GUESS = 1 / 2000
"""Seconds for a token before anything was measured."""

_STEEPEST = 1.25
"""A step of n times the length takes n to the power of this at most: attention grows faster."""

_RECENT = 32
_WEIGHT = 0.1


class Pace:
    """Seconds of a step, by its length.

    The quickest of the last steps counts: others of the machine only ever make one slower. A length
    that was not taken for long is corrected by its neighbours.
    """

    def __init__(self, lengths: Sequence[int]):
        self._taken: dict[int, deque[float]] = {length: deque(maxlen=_RECENT) for length in lengths}
        self._seen: set[int] = set()
        self._seconds = {length: length * _GUESS for length in lengths}
        self._slowdown = 1.0

    def observe(self, length: int, seconds: float) -> None:
        """A step of this length took so long."""
        if length not in self._seen:
            # The first step of a length builds what the later ones use.
            self._seen.add(length)
            return
        self._taken[length].append(max(seconds, 1e-9))
        self._seconds = {each: self._estimate(each) for each in self._taken}
        ratio = seconds / self._seconds[length]
        self._slowdown += _WEIGHT * (ratio - self._slowdown)

    def seconds(self, length: int) -> float:
        """What a step costs when nothing else disturbs it."""
        return self._seconds[length]

    @property
    def seconds_per_token(self) -> float:
        """Of full steps of the best length, as slow as they have been of late."""
        best = min(seconds / length for length, seconds in self._seconds.items())
        return best * self._slowdown

    def _estimate(self, length: int) -> float:
        return min(
            min(taken) * math.pow(max(length / other, 1), _STEEPEST)
            for other, taken in self._taken.items()
            if taken
        )
