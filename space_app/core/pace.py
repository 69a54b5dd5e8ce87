"""How long steps take on this machine, learned from those that were taken."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Shape

_GUESS = 1 / 2000
"""Seconds for a token before anything was measured."""

_STEEPEST = 0.5
"""A token in a row n times as wide takes n to the power of this at most, by attention's growth."""

_RECENT = 32
_WEIGHT = 0.1
_WASTE = 1.2
_MOST_WASTE = 10.0
"""How many times as long as at the best pace it takes while much waits: at first, and at most."""


class Pace:
    """Seconds of a step, by its shape.

    The quickest of the last steps counts: others of the machine only ever make one slower. A shape
    that was not taken for long is corrected by its neighbours.
    """

    def __init__(self, shapes: Sequence[Shape]):
        self._taken: dict[Shape, deque[float]] = {shape: deque(maxlen=_RECENT) for shape in shapes}
        self._quickest: dict[Shape, float] = {}
        self._times = {
            shape: {measured: _times_at_most(measured, shape) for measured in shapes}
            for shape in shapes
        }
        self._seen: set[Shape] = set()
        self._seconds = {shape: shape.tokens * _GUESS for shape in shapes}
        self._slowdown = 1.0
        self._waste = _WASTE

    def observe(self, shape: Shape, seconds: float) -> None:
        """A step of this shape took so long."""
        if shape not in self._seen:
            # The first step of a shape builds what the later ones use.
            self._seen.add(shape)
            return
        self._taken[shape].append(max(seconds, 1e-9))
        self._quickest[shape] = min(self._taken[shape])
        self._seconds = {
            each: min(taken * times[measured] for measured, taken in self._quickest.items())
            for each, times in self._times.items()
        }
        ratio = seconds / self._seconds[shape]
        self._slowdown += _WEIGHT * (ratio - self._slowdown)

    def worked(self, tokens: int, seconds: float) -> None:
        """While more than a step waited this many tokens took so long, pauses included."""
        ratio = seconds / (tokens * self._best * self._slowdown)
        self._waste += _WEIGHT / 4 * (min(ratio, _MOST_WASTE) - self._waste)

    def seconds(self, shape: Shape) -> float:
        """What a step costs when nothing else disturbs it."""
        return self._seconds[shape]

    @property
    def seconds_per_token(self) -> float:
        """While much waits: of full steps of the best shape, as slow as they have been of late.

        What steps leave empty, and what passes between them, is part of it.
        """
        return self._best * self._slowdown * self._waste

    @property
    def _best(self) -> float:
        return min(seconds / shape.tokens for shape, seconds in self._seconds.items())


def _times_at_most(measured: Shape, shape: Shape) -> float:
    """How many times as long as a measured step another one takes, if it was measured well."""
    wider = max(shape.width / measured.width, 1)
    return max(shape.tokens / measured.tokens, 1) * math.pow(wider, _STEEPEST)
