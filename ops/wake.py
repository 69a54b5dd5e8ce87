"""`ops wake`: a paused or sleeping Space -> one that runs its newest commit and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.answering import wait_until_answering
from ops.find_space import find_space
from ops.stages import IDLE
from ops.watch import Patience

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub
    from ops.runner import Log
    from ops.watch import Show


@dataclass(frozen=True)
class Woken:
    """What became of a Space. `stage` is that before; `seconds` None when nothing was done."""

    repo_id: str
    url: str
    commit: str
    stage: str
    started: bool
    seconds: float | None


def wake(
    hub: Hub,
    repo_id: str,
    *,
    say: Log,
    dry_run: bool = False,
    patience: Patience | None = None,
    show: Show | None = None,
) -> Woken:
    """Start it where it is idle, and wait until it answers.

    Raises:
        ConfigError: there is no such Space.
        SpaceConfigError, BuildFailed, Unhealthy, NotRunning, TimedOut: it does not come up.
        Conflict: somebody else committed meanwhile.
    """
    space = find_space(hub, repo_id)
    stage = hub.runtime(space.repo_id).stage
    idle = stage in IDLE
    if idle:
        say(f"{space.repo_id} is {stage}: it is started, and billed if its hardware is.")
    else:
        say(f"{space.repo_id} is {stage}: there is nothing to start.")
    if dry_run:
        return Woken(space.repo_id, space.url, space.commit, stage, started=False, seconds=None)
    seconds = wait_until_answering(hub, space, say=say, patience=patience or Patience(), show=show)
    return Woken(space.repo_id, space.url, space.commit, stage, started=idle, seconds=seconds)
