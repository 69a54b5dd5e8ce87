from __future__ import annotations

import pytest

from space_app.core.pace import Pace

LENGTHS = (16, 64, 256)


def measured(pace: Pace, length: int, *seconds: float) -> None:
    """Steps of a length that took so long, after the first, which counts for nothing."""
    for each in (9.0, *seconds):
        pace.observe(length, each)


def test_unmeasured_lengths_cost_by_their_tokens() -> None:
    """Before anything was measured, a longer step costs more in proportion."""
    pace = Pace(LENGTHS)

    assert pace.seconds(256) == 16 * pace.seconds(16)


def test_the_first_step_of_a_length_does_not_count() -> None:
    """It is slow because it builds what later ones use."""
    pace = Pace(LENGTHS)
    pace.observe(64, 0.001)
    assert pace.seconds(64) > 0.001
    pace.observe(64, 0.002)

    assert pace.seconds(64) == 0.002


def test_disturbed_steps_do_not_count_but_slow_the_forecast_down() -> None:
    """The quickest says what a step costs; what waits is forecast at the speed of late."""
    pace = Pace((64,))
    measured(pace, 64, 0.032)
    undisturbed = pace.seconds_per_token
    measured(pace, 64, *[0.064] * 20)

    assert pace.seconds(64) == 0.032
    assert undisturbed == pytest.approx(0.032 / 64)
    assert undisturbed * 1.5 < pace.seconds_per_token < undisturbed * 20


def test_what_was_quick_once_is_forgotten() -> None:
    """A machine that became slower is known to be."""
    pace = Pace((64,))
    measured(pace, 64, 0.01, *[0.03] * 40)

    assert pace.seconds(64) == 0.03


def test_neighbours_correct_what_was_measured_in_a_bad_moment() -> None:
    """A short step costs no more than a long one, and a long one not much more per token."""
    pace = Pace(LENGTHS)
    measured(pace, 16, 1.0)
    measured(pace, 64, 0.02)
    measured(pace, 256, 5.0)

    assert pace.seconds(16) == 0.02
    assert 0.08 < pace.seconds(256) < 0.12
