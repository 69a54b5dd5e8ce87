from __future__ import annotations

import pytest

from space_app.core.pace import Pace
from space_app.core.types import Shape

SHORT, MIDDLE, LONG = SHAPES = (Shape(1, 16), Shape(1, 64), Shape(1, 256))


def measured(pace: Pace, shape: Shape, *seconds: float) -> None:
    """Steps of a shape that took so long, after the first, which counts for nothing."""
    for each in (9.0, *seconds):
        pace.observe(shape, each)


def test_unmeasured_lengths_cost_by_their_tokens() -> None:
    """Before anything was measured, a longer step costs more in proportion."""
    pace = Pace(SHAPES)

    assert pace.seconds(LONG) == 16 * pace.seconds(SHORT)


def test_the_first_step_of_a_length_does_not_count() -> None:
    """It is slow because it builds what later ones use."""
    pace = Pace(SHAPES)
    pace.observe(MIDDLE, 0.001)
    assert pace.seconds(MIDDLE) > 0.001
    pace.observe(MIDDLE, 0.002)

    assert pace.seconds(MIDDLE) == 0.002


def test_disturbed_steps_do_not_count_but_slow_the_forecast_down() -> None:
    """The quickest says what a step costs; what waits is forecast at the speed of late."""
    pace = Pace((MIDDLE,))
    measured(pace, MIDDLE, 0.032)
    undisturbed = pace.seconds_per_token
    measured(pace, MIDDLE, *[0.064] * 20)

    assert pace.seconds(MIDDLE) == 0.032
    assert undisturbed == pytest.approx(0.032 / 64 * 1.2)
    assert undisturbed * 1.5 < pace.seconds_per_token < undisturbed * 20


def test_what_a_full_queue_really_takes_counts() -> None:
    """Room that steps leave empty and pauses between them are part of the forecast."""
    pace = Pace((MIDDLE,))
    measured(pace, MIDDLE, 0.032)
    for _ in range(200):
        pace.worked(32, 0.033)

    assert pace.seconds_per_token == pytest.approx(0.033 / 32, rel=0.02)


def test_what_was_quick_once_is_forgotten() -> None:
    """A machine that became slower is known to be."""
    pace = Pace((MIDDLE,))
    measured(pace, MIDDLE, 0.01, *[0.03] * 40)

    assert pace.seconds(MIDDLE) == 0.03


def test_neighbours_correct_what_was_measured_in_a_bad_moment() -> None:
    """A short step costs no more than a long one, and a long one not much more per token."""
    pace = Pace(SHAPES)
    measured(pace, SHORT, 1.0)
    measured(pace, MIDDLE, 0.02)
    measured(pace, LONG, 5.0)

    assert pace.seconds(SHORT) == 0.02
    assert 0.08 < pace.seconds(LONG) <= 0.16


def test_wider_rows_may_cost_more() -> None:
    """As many tokens in one row are not thought as quick as they are in several."""
    rows, row = Shape(4, 64), Shape(1, 256)
    pace = Pace((rows, row))
    measured(pace, rows, 0.02)
    measured(pace, row, 0.03)

    assert (pace.seconds(rows), pace.seconds(row)) == (0.02, 0.03)
