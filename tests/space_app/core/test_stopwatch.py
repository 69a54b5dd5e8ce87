from __future__ import annotations

from space_app.core.stopwatch import Stopwatch
from space_app.core.types import Phase


def reading(begun: float, ended: float) -> Phase:
    """A slice that was tokenised."""
    return Phase("tokenise", begun, ended)


def step(begun: float, ended: float) -> Phase:
    """A step that was computed."""
    return Phase("compute", begun, ended)


def test_one_text() -> None:
    """Waiting is what is left before the step: for the reader, and for the step."""
    watch = Stopwatch(entered=10.0)
    watch.read(reading(11.0, 13.0))
    watch.computed(step(17.0, 25.0))
    timing = watch.timing()

    assert (timing.tokenise, timing.queue, timing.compute) == (2.0, 5.0, 8.0)
    assert timing.phases == (
        Phase("tokenise", 11.0, 13.0),
        Phase("queue", 13.0, 17.0),
        Phase("compute", 17.0, 25.0),
    )


def test_texts_that_are_read_while_others_are_computed() -> None:
    """Reading after the first step is no waiting, and steps of others are not the request's."""
    watch = Stopwatch(entered=0.0)
    watch.read(reading(0.0, 1.0))
    watch.read(reading(1.0, 3.0))
    watch.read(reading(4.0, 6.0))
    watch.computed(step(3.5, 5.0))
    watch.computed(step(8.0, 9.0))
    timing = watch.timing()

    assert (timing.tokenise, timing.queue, timing.compute) == (5.0, 0.5, 2.5)
    assert timing.phases == (
        Phase("tokenise", 0.0, 6.0),
        Phase("queue", 3.0, 3.5),
        Phase("compute", 3.5, 9.0),
    )


def test_what_is_known_already() -> None:
    """Nothing is computed: it has waited for the reader only."""
    watch = Stopwatch(entered=0.0)
    watch.read(reading(2.0, 2.5))
    timing = watch.timing()

    assert (timing.tokenise, timing.queue, timing.compute) == (0.5, 2.0, 0.0)
    assert timing.phases == (Phase("tokenise", 2.0, 2.5),)
