"""Steps that nobody asked for: the first of a length builds what later ones use, and is slow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from space_app.core.scheduler import Step
from space_app.core.types import Encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMES = 2
"""Of each length: once to build it, once more to learn how long it takes."""


class Warming:
    """Which lengths were computed, and a step of the shortest that was not."""

    def __init__(self, lengths: Sequence[int]):
        self._lengths = tuple(lengths)
        self._times: Counter[int] = Counter()
        self._sample: Encoded | None = None

    @property
    def done(self) -> bool:
        """Whether every length was computed often enough."""
        return all(self._times[length] >= _TIMES for length in self._lengths)

    def begin(self, sample: Encoded) -> None:
        """From now on there are steps to compute, of the sample's tokens over and over."""
        self._sample = sample

    def next_step(self) -> tuple[Step, list[Encoded]] | None:
        """A step to compute when nothing better is to be done."""
        if self._sample is None:
            return None
        for length in self._lengths:
            if self._times[length] < _TIMES:
                return Step((), length), _texts(self._sample, length)
        return None

    def computed(self, length: int) -> None:
        """A step of this length was computed, for somebody."""
        self._times[length] += 1


def _texts(sample: Encoded, length: int) -> list[Encoded]:
    """Texts of so many tokens together, none of them longer than the sample."""
    whole, rest = divmod(length, len(sample))
    texts = [sample] * whole
    return [*texts, Encoded(sample.tokens[:rest], truncated=False)] if rest else texts
