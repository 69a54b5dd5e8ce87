"""Where the time of one request goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from space_app.core.types import Phase, Timing


@dataclass
class Stopwatch:
    """Is told of each piece of work on a request; only the event loop touches it.

    Moments are those of `time.perf_counter`.
    """

    entered: float = field(default_factory=time.perf_counter)
    _read: list[Phase] = field(default_factory=list)
    _steps: list[Phase] = field(default_factory=list)

    def read(self, phase: Phase) -> None:
        """A slice of the texts was tokenised."""
        self._read.append(phase)

    def computed(self, phase: Phase) -> None:
        """A step with texts of the request was computed."""
        self._steps.append(phase)

    def timing(self) -> Timing:
        """What is known by now."""
        return Timing(
            tokenise=sum(phase.seconds for phase in self._read),
            queue=self._waited(),
            compute=sum(phase.seconds for phase in self._steps),
            phases=tuple(self._phases()),
        )

    def _waited(self) -> float:
        """Until the first step, less the reading; where everything was known, until it was read."""
        known = self._read[-1].ended if self._read else self.entered
        until = self._steps[0].begun if self._steps else known
        reading = sum(phase.seconds for phase in self._read if phase.ended <= until)
        return max(0.0, until - self.entered - reading)

    def _phases(self) -> list[Phase]:
        found = []
        if self._read:
            found.append(Phase("tokenise", self._read[0].begun, self._read[-1].ended))
        if self._steps:
            begun = self._steps[0].begun
            ready = max((read.ended for read in self._read if read.ended <= begun), default=begun)
            found.append(Phase("queue", ready, begun))
            found.append(Phase("compute", begun, self._steps[-1].ended))
        return found
