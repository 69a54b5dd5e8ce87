"""`ops settings hardware`, `sleep-time` and `visibility`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ops.config import FREE_HARDWARE
from ops.config_edit import Edit
from ops.errors import ConfigError
from ops.plan import HOURS_A_MONTH, SettingChange
from ops.settings.change import Proposed, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.config import Visibility
    from ops.settings.change import Changed, Writer

NEVER = -1
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def set_hardware(writer: Writer, flavour: str) -> Changed:
    """Move the Space to other hardware; what it costs is shown, and to be agreed to.

    Raises:
        ConfigError: the Hub has no such hardware.
    """
    space = writer.space()
    prices = writer.hub.flavours()
    if flavour not in prices:
        raise ConfigError(
            f"The Hub has no hardware {flavour}.",
            cause="It has " + "; ".join(f"{n} ({price(prices[n])})" for n in prices) + ".",
            next_step="Choose one of those: ops settings hardware NAME.",
        )
    runtime = writer.hub.runtime(space.repo_id)
    now = runtime.hardware
    # Free hardware has a sleep time of its own, which is none to keep.
    seconds = None if now == FREE_HARDWARE else runtime.sleep_time
    step = Step(
        SettingChange("hardware", "change", before=now, after=flavour),
        lambda: writer.hub.set_hardware(space.repo_id, flavour, seconds),
    )
    cost = f"{_priced(now, prices)} -> {_priced(flavour, prices)}"
    changes = now != flavour
    return writer.carry_out(
        Proposed(
            space,
            steps=(step,) if changes else (),
            edits=tuple(_hardware_edits(writer, flavour)),
            unchanged=() if changes else ("hardware",),
            notes=_sleepless(flavour, seconds) if changes else (),
            doubts=(cost,) if changes else (),
        )
    )


def set_sleep_time(writer: Writer, seconds: int) -> Changed:
    """Set after how many seconds without a request it sleeps, -1 for never.

    Raises:
        ConfigError: its hardware has a fixed one.
    """
    space = writer.space()
    runtime = writer.hub.runtime(space.repo_id)
    if runtime.hardware == FREE_HARDWARE:
        raise ConfigError(
            f"{space.repo_id} runs on {FREE_HARDWARE}, whose sleep time is fixed to 48 hours.",
            next_step="Choose paid hardware first: ops settings hardware NAME.",
        )
    now = runtime.sleep_time
    step = Step(
        SettingChange("sleep time", "change", before=_text(now), after=str(seconds)),
        lambda: writer.hub.set_sleep_time(space.repo_id, seconds),
    )
    return writer.carry_out(
        Proposed(
            space,
            steps=(step,) if now != seconds else (),
            edits=()
            if writer.config.space.sleep_time == seconds
            else (Edit("space", "sleep_time", seconds),),
            unchanged=() if now != seconds else ("sleep time",),
            restarts=False,
        )
    )


def set_visibility(writer: Writer, visibility: Visibility) -> Changed:
    """Make it private, protected or public; what lets more people in is to be agreed to."""
    space = writer.space()
    written = writer.written(space)
    now = written.visibility_of(private=space.private)
    step = Step(
        SettingChange("visibility", "change", before=now, after=visibility),
        lambda: writer.hub.set_visibility(space.repo_id, visibility),
    )
    opens = {
        "public": f"Everybody will see the files of {space.repo_id} and may use the app.",
        "protected": f"Everybody who knows its address may use the app of {space.repo_id}.",
    }
    asks = visibility == "public" or (visibility == "protected" and space.private)
    return writer.carry_out(
        Proposed(
            space,
            steps=(step,) if now != visibility else (),
            edits=()
            if writer.config.space.visibility == visibility
            else (Edit("space", "visibility", visibility),),
            unchanged=() if now != visibility else ("visibility",),
            doubts=(opens[visibility],) if asks and now != visibility else (),
            restarts=False,
            remember=lambda: written.note(None, {}, visibility),
        )
    )


def seconds_of(text: str) -> int:
    """The seconds of `300`, `300s`, `5m`, `1h`, `2d` or `never`.

    Raises:
        ConfigError: it is nothing of the kind.
    """
    if text == "never":
        return NEVER
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if found is None or not int(found[1]):
        raise ConfigError(
            f"{text!r} is no sleep time.",
            next_step="Give seconds, or such as 5m, 1h or 2d, or never.",
        )
    return int(found[1]) * _UNITS[found[2]]


def price(per_hour: float | None) -> str:
    """What hardware costs while it runs."""
    if per_hour is None:
        return "the Hub tells no price"
    if not per_hour:
        return "free"
    return f"${per_hour:.2f} an hour, ${per_hour * HOURS_A_MONTH:,.2f} a month"


def _priced(flavour: str | None, prices: Mapping[str, float | None]) -> str:
    return f"{flavour} ({price(prices.get(flavour))})" if flavour else "no hardware"


def _sleepless(flavour: str, seconds: int | None) -> tuple[str, ...]:
    if flavour == FREE_HARDWARE or (seconds is not None and seconds > 0):
        return ()
    return ("It never sleeps there unless told to: ops settings sleep-time 1h.",)


def _hardware_edits(writer: Writer, flavour: str) -> list[Edit]:
    space = writer.config.space
    edits = []
    if space.hardware != flavour:
        edits.append(Edit("space", "hardware", flavour))
    if flavour == FREE_HARDWARE and space.sleep_time is not None:
        edits.append(Edit("space", "sleep_time", None))
    return edits


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
