from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_world import SPACE

from ops.errors import ConfigError
from ops.settings.space import price, seconds_of, set_hardware, set_sleep_time, set_visibility

if TYPE_CHECKING:
    from conftest import Desk

S = f"/api/spaces/{SPACE}"


def test_hardware_is_priced_and_agreed_to(running: Desk) -> None:
    """One request; what it costs now and then is said and asked about, and it is waited for."""
    done = set_hardware(running.writer(), "t4-small")
    cost = "cpu-basic (free) -> t4-small ($0.40 an hour, $292.00 a month)"
    assert running.asked == 1
    assert running.said[:3] == [
        "hardware: cpu-basic -> t4-small",
        cost,
        "It never sleeps there unless told to: ops settings sleep-time 1h.",
    ]
    assert running.writes() == [f"POST {S}/hardware"]
    assert done.seconds is not None
    runtime = running.world.api.get_space_runtime(SPACE)
    assert (runtime.hardware, runtime.stage) == ("t4-small", "RUNNING")


def test_hardware_that_it_has_is_left_alone(desk: Desk) -> None:
    """Nothing is asked, of anybody."""
    done = set_hardware(desk.writer(), "cpu-basic")
    assert (done.changes, done.unchanged) == ((), ("hardware",))
    assert (desk.writes(), desk.asked) == ([], 0)


def test_hardware_that_the_hub_has_not(desk: Desk) -> None:
    """The error lists what there is, with prices."""
    with pytest.raises(ConfigError, match="no hardware t4-smal") as caught:
        set_hardware(desk.writer(), "t4-smal")
    assert "t4-small ($0.40 an hour" in str(caught.value.cause)
    assert desk.writes() == []


def test_a_move_keeps_the_sleep_time(desk: Desk) -> None:
    """Between paid hardware only: that of free hardware is none to keep."""
    set_hardware(desk.writer(), "t4-small")
    assert desk.hub.runtime(SPACE).sleep_time is None
    set_sleep_time(desk.writer(), 600)
    set_hardware(desk.writer(), "cpu-upgrade")
    assert desk.hub.runtime(SPACE).sleep_time == 600


def test_sleep_time(running: Desk) -> None:
    """Set at once, without a restart; -1 is never."""
    running.world.api.request_space_hardware(SPACE, "t4-small")
    started = len(running.world.runner.started)
    done = set_sleep_time(running.writer(save=False), 600)
    assert [(c.field, c.before, c.after) for c in done.changes] == [("sleep time", None, "600")]
    assert done.seconds is None
    assert running.hub.runtime(SPACE).sleep_time == 600
    assert set_sleep_time(running.writer(), 600).changes == ()
    set_sleep_time(running.writer(), -1)
    assert running.hub.runtime(SPACE).sleep_time == -1
    assert len(running.world.runner.started) <= started + 1


def test_sleep_time_is_fixed_on_free_hardware(desk: Desk) -> None:
    """The Hub would take the request and do nothing: it is refused, with the reason."""
    with pytest.raises(ConfigError, match="cpu-basic, whose sleep time is fixed to 48 hours"):
        set_sleep_time(desk.writer(), 600)
    assert desk.writes() == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("45s", 45), ("5m", 300), ("1h", 3600), ("2d", 172800), ("never", -1)],
)
def test_times(text: str, seconds: int) -> None:
    """Seconds, or a number of a unit."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-1", "1.5h", "1 h", "5w", "٣", "9" * 10])
def test_no_times(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ConfigError, match="is no sleep time"):
        seconds_of(text)


def test_visibility(desk: Desk) -> None:
    """Who lets people in is asked; who shuts them out is not. It is remembered."""
    done = set_visibility(desk.writer(), "protected")
    assert desk.asked == 1
    assert desk.said[-1] == f"Everybody who knows its address may use the app of {SPACE}."
    assert (done.changes[0].before, done.seconds) == ("private", None)
    set_visibility(desk.writer(), "public")
    assert desk.asked == 2
    assert desk.said[-1] == f"Everybody will see the files of {SPACE} and may use the app."
    assert not desk.world.api.space_info(SPACE).private
    assert set_visibility(desk.writer(), "public").changes == ()
    set_visibility(desk.writer(), "protected")
    set_visibility(desk.writer(), "private")
    assert desk.asked == 2
    assert desk.world.api.space_info(SPACE).private
    assert desk.writes() == [f"PUT {S}/settings"] * 4


def test_visibility_that_is_not_known_is_written(desk: Desk) -> None:
    """Of a Space that somebody else opened, the Hub does not tell how far."""
    desk.world.api.update_repo_settings(SPACE, repo_type="space", visibility="public")
    done = set_visibility(desk.writer(), "public")
    assert [c.before for c in done.changes] == ["public or protected"]


def test_saved(desk: Desk) -> None:
    """Each key gets its value; a sleep time goes with the hardware that had it."""
    set_hardware(desk.writer(save=True), "t4-small")
    set_sleep_time(desk.writer(save=True), 600)
    set_visibility(desk.writer(save=True), "public")
    head = f'[space]\nrepo_id = "{SPACE}"  # ours\n'
    assert desk.path.read_text() == (
        f'{head}hardware = "t4-small"\nsleep_time = 600\nvisibility = "public"\n'
    )
    set_hardware(desk.writer(save=True), "cpu-basic")
    assert desk.path.read_text() == f'{head}hardware = "cpu-basic"\nvisibility = "public"\n'


def test_what_would_make_the_file_invalid_is_not_done(desk: Desk) -> None:
    """A sleep time that all environments have in common bars one of them from free hardware."""
    desk.path.write_text(
        f'[space]\nrepo_id = "me/other"\nhardware = "t4-small"\nsleep_time = 600\n'
        f'[environments.staging.space]\nrepo_id = "{SPACE}"\n'
    )
    desk.world.api.request_space_hardware(SPACE, "t4-small")
    desk.world.hub.faults.mark()
    before = desk.path.read_text()
    with pytest.raises(ConfigError, match=r"Not saved, for then .*staging"):
        set_hardware(desk.writer("staging", save=True), "cpu-basic")
    assert (desk.writes(), desk.path.read_text()) == ([], before)


@pytest.mark.parametrize(
    ("hourly", "text"),
    [(None, "the Hub tells no price"), (0, "free"), (2.5, "$2.50 an hour, $1,825.00 a month")],
)
def test_prices(hourly: float | None, text: str) -> None:
    """An hour, and a month without sleep."""
    assert price(hourly) == text
