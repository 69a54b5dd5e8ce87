"""The thread that computes: asks the scheduler for a step, computes it, hands the vectors on."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from space_app.core.errors import InvalidVector
from space_app.core.scheduler import Scheduler
from space_app.core.types import Phase
from space_app.core.unit import are_unit
from space_app.core.warming import Warming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from space_app.core.scheduler import Load, Step
    from space_app.core.types import Embedder, Encoded, Matrix


_MOST_LISTED = 5

_PROBE = "probe"
"""A text that every model has a vector of."""

_QUIET = 0.1
"""Seconds without a request after which steps are warmed."""


@dataclass(frozen=True)
class _Job:
    """A step; `warming` when its vectors are nobody's."""

    step: Step
    rows: Sequence[Sequence[Encoded]]
    warming: bool = False


class Soundness(NamedTuple):
    """`invalid` counts the requests that failed because a text had no usable vector.

    `broken` says that even a plain word had none when it was last tried.
    """

    invalid: int = 0
    broken: bool = False


class Computing:
    """Computes what it is given, all requests' texts together. Any thread may give.

    `deliver` gets the vectors of a step and when it was computed, `fail` the request whose texts
    cannot be computed and the reason; both are called by the computing thread. What is delivered
    was checked: each vector is finite and has length 1, and so have the others of its step.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        max_wait: float,
        deliver: Callable[[Step, Matrix, Phase], None],
        fail: Callable[[int, Exception], None],
    ):
        self._embedder = embedder
        self._deliver = deliver
        self._fail = fail
        self._scheduler = Scheduler(embedder.step_shapes, embedder.step_texts, max_wait)
        self._texts: dict[int, dict[int, Encoded]] = {}
        self._warming = Warming(embedder.step_shapes)
        self._invalid = 0
        self._broken = False
        self._asked_at = -math.inf
        """When the last step ended that somebody waited for."""
        self._closed = False
        self._changed = threading.Condition()
        """Guards everything here, and tells the thread that there is something to do."""
        self._thread = threading.Thread(target=self._run, name="compute", daemon=True)
        self._thread.start()

    @property
    def warm(self) -> bool:
        """Whether a step of each shape was computed."""
        return self._warming.done

    @property
    def soundness(self) -> Soundness:
        """Whether the vectors have been right."""
        return Soundness(self._invalid, self._broken)

    @property
    def load(self) -> Load:
        """What waits."""
        with self._changed:
            return self._scheduler.load()

    def refuse(self, *, key: str, mark: int, texts: int, tokens: int) -> float | None:
        """Seconds after which a request of this size is taken; None: it is now."""
        with self._changed:
            return self._scheduler.refuse(
                texts=texts,
                tokens=tokens,
                key=key,
                mark=mark,
                now=time.monotonic(),
            )

    def enter(self, request: int, *, key: str, texts: int, expected: int) -> None:
        """A request is here; its texts are to be added, and it is to be dropped in the end."""
        with self._changed:
            now = time.monotonic()
            self._scheduler.enter(request, texts=texts, expected=expected, now=now, key=key)
            self._texts[request] = {}

    def add(self, request: int, texts: Iterable[tuple[int, Encoded]], *, expected: int) -> None:
        """Texts of a request, by their position; `expected` guesses the tokens still to come."""
        read = dict(texts)
        lengths = [(position, len(text)) for position, text in read.items()]
        with self._changed:
            self._texts[request].update(read)
            self._scheduler.add(request, lengths, expected=expected)
            self._changed.notify()

    def drop(self, request: int) -> None:
        """Forget a request."""
        with self._changed:
            self._scheduler.drop(request)
            self._texts.pop(request, None)

    def warm_up(self, sample: Encoded) -> None:
        """Compute steps of each shape, of this text's tokens, whenever nothing else waits."""
        with self._changed:
            self._warming.begin(sample)
            self._changed.notify()

    def close(self) -> None:
        """Finish the step that is being computed, drop the others, end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (job := self._wait_for_job()) is not None:
            self._compute(job)

    def _wait_for_job(self) -> _Job | None:
        with self._changed:
            while not self._closed:
                if (job := self._next_job()) is not None:
                    return job
                # Who comes back right after an answer is not to find a warming step begun.
                quiet = time.monotonic() - self._asked_at
                if self._warming.waits and quiet < _QUIET:
                    self._changed.wait(_QUIET - quiet)
                elif (dummy := self._warming.next_step()) is not None:
                    return _Job(*dummy, warming=True)
                else:
                    self._changed.wait()
        return None

    def _next_job(self) -> _Job | None:
        if (step := self._scheduler.next_step(time.monotonic())) is not None:
            return _Job(
                step, [[self._texts[i.request][i.position] for i in row] for row in step.rows]
            )
        return None

    def _compute(self, job: _Job) -> None:
        begun = time.perf_counter()
        try:
            vectors = self._embedder.embed(job.rows)
            _require_unit(vectors, job.step)
        except Exception as error:  # noqa: BLE001 -- whatever a runtime raises, the server goes on
            self._failed(job.step, error)
        else:
            phase = Phase("compute", begun, time.perf_counter())
            self._broken = False
            if not job.warming:
                self._asked_at = time.monotonic()
                self._deliver(job.step, vectors, phase)
            with self._changed:
                self._scheduler.observe(job.step, phase.seconds, time.monotonic())
        self._warming.computed(job.step.shape)

    def _failed(self, step: Step, error: Exception) -> None:
        """Of several requests each has another try by itself, so that only the guilty one fails."""
        if len(step.requests) > 1:
            with self._changed:
                self._scheduler.apart(step)
            return
        if isinstance(error, InvalidVector):
            self._invalid += len(step.requests)
            self._broken = not self._works()
        for request in step.requests:
            self._fail(request, error)

    def _works(self) -> bool:
        """Whether it was the text's fault: the engine can compute others."""
        try:
            probe = self._embedder.encode([_PROBE])
            return bool(are_unit(self._embedder.embed([probe])).all())
        except Exception:  # noqa: BLE001 -- whatever a runtime raises: it does not
            return False


def _require_unit(vectors: Matrix, step: Step) -> None:
    """Raise InvalidVector where one isn't: what damaged it may have damaged the others too."""
    unit = are_unit(vectors)
    if not unit.all():
        positions = [i.position for i, fine in zip(step.items, unit, strict=False) if not fine]
        raise InvalidVector(
            "The model's vector of a text is not finite or not of length 1, so it was not used: "
            f"{_listed(positions)} (counted from 0). Leave out or change what is listed; if all "
            "texts fail, restart the server, and then export the model again."
        )


def _listed(positions: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(positions)[:_MOST_LISTED]))
    return f"text {shown}" + (" and others" if len(positions) > _MOST_LISTED else "")
