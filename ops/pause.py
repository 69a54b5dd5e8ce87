"""`ops pause`: stop a Space until it is woken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.find_space import find_space

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub
    from ops.runner import Log


@dataclass(frozen=True)
class Paused:
    """What became of a Space. `stage` is that before, `stage_after` that which the Hub answered."""

    repo_id: str
    stage: str
    stage_after: str
    paused: bool


def pause(hub: Hub, repo_id: str, *, say: Log, dry_run: bool = False) -> Paused:
    """Pause it, unless it is paused.

    Raises:
        ConfigError: there is no such Space.
    """
    name = find_space(hub, repo_id).repo_id
    stage = hub.runtime(name).stage
    if stage == "PAUSED":
        say(f"{name} is paused already.")
        return Paused(name, stage, stage, paused=False)
    say(f"{name} is {stage}: paused, it answers nobody and costs nothing until ops wake.")
    if dry_run:
        return Paused(name, stage, stage, paused=False)
    return Paused(name, stage, hub.pause(name).stage, paused=True)
