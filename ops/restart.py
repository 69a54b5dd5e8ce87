"""`ops restart`: start a Space again with its newest commit and settings, built anew if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.answering import wait_for_change, wait_until_answering
from ops.find_space import find_space
from ops.watch import Patience

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub
    from ops.runner import Log
    from ops.watch import Show


@dataclass(frozen=True)
class Restarted:
    """What became of a Space. `stage` is that before; `seconds` None when it was not waited for."""

    repo_id: str
    url: str
    commit: str
    stage: str
    restarted: bool
    seconds: float | None


def restart(
    hub: Hub,
    repo_id: str,
    *,
    say: Log,
    factory: bool = False,
    wait: bool = True,
    dry_run: bool = False,
    patience: Patience | None = None,
    show: Show | None = None,
) -> Restarted:
    """Restart it, and wait until it answers.

    Raises:
        ConfigError: there is no such Space.
        SpaceConfigError, BuildFailed, Unhealthy, NotRunning, TimedOut: it does not come up.
        Conflict: somebody else committed meanwhile.
    """
    patience = patience or Patience()
    space = find_space(hub, repo_id)
    stage = hub.runtime(space.repo_id).stage
    built = "built anew without any cache and " if factory else ""
    say(f"{space.repo_id} is {stage}: it is {built}started again at {space.commit[:8]}.")
    seconds = None
    if not dry_run:
        after = hub.restart(space.repo_id, factory=factory).stage
        if wait:
            if after == "RUNNING":
                wait_for_change(hub, space.repo_id, patience)
            seconds = wait_until_answering(hub, space, say=say, patience=patience, show=show)
    return Restarted(
        space.repo_id, space.url, space.commit, stage, restarted=not dry_run, seconds=seconds
    )
