"""Steps that nobody asked for: the first of a shape builds what later ones use, and is slow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from space_app.core.scheduler import Step
from space_app.core.types import Encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Shape

_TIMES = 2
"""Of each shape: once to build it, once more to learn how long it takes."""


class Warming:
    """Which shapes were computed, and a step of the smallest that was not."""

    def __init__(self, shapes: Sequence[Shape]):
        self._shapes = tuple(shapes)
        self._times: Counter[Shape] = Counter()
        self._sample: Encoded | None = None

    @property
    def done(self) -> bool:
        """Whether every shape was computed often enough."""
        return all(self._times[shape] >= _TIMES for shape in self._shapes)

    @property
    def waits(self) -> bool:
        """Whether there is a step to compute."""
        return self._sample is not None and not self.done

    def begin(self, sample: Encoded) -> None:
        """From now on there are steps to compute, of the sample's tokens over and over."""
        self._sample = sample

    def next_step(self) -> tuple[Step, list[list[Encoded]]] | None:
        """A step to compute when nothing better is to be done."""
        if self._sample is None:
            return None
        for shape in self._shapes:
            if self._times[shape] < _TIMES:
                return Step((), shape), [_row(self._sample, shape.width)] * shape.rows
        return None

    def computed(self, shape: Shape) -> None:
        """A step of this shape was computed, for somebody."""
        self._times[shape] += 1


def _row(sample: Encoded, width: int) -> list[Encoded]:
    """Texts of so many tokens together, none of them longer than the sample."""
    whole, rest = divmod(width, len(sample))
    texts = [sample] * whole
    return [*texts, Encoded(sample.tokens[:rest], truncated=False)] if rest else texts
