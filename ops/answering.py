"""Waits until a Space runs its newest commit and answers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from ops.errors import OpsError
from ops.probe import Access, Probe
from ops.stages import WAKES_ON_A_VISIT
from ops.watch import Patience, raise_if_ended, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.adapters.hf_hub import Hub, SpaceState
    from ops.runner import Log
    from ops.watch import Show

_HEALTH_LIMIT = 180.0
"""Seconds that the server has for its first answer, once the Hub says that it runs."""

_LOOK_EVERY = 2.0


def wait_until_answering(
    hub: Hub,
    space: SpaceState,
    *,
    say: Log,
    patience: Patience,
    show: Show | None = None,
    limit: float = _HEALTH_LIMIT,
) -> float:
    """Wait; returns the seconds that it took. An idle Space is started.

    Raises:
        SpaceConfigError, BuildFailed, Unhealthy, NotRunning: it ended instead.
        Conflict: somebody else committed meanwhile.
        TimedOut: it does not run within `patience`, or does not answer within `limit` seconds.
    """
    started = time.monotonic()
    wait_until_running(hub, space.repo_id, space.commit, say=say, patience=patience, show=show)
    # The token goes only where it is needed.
    access = Access(hub_token=hub.token if space.private else None)
    with Probe(space.url, access) as probe:
        probe.choose_header()
        probe.wait_until_healthy(
            limit=limit, still_running=still_running(hub, space, patience.poll)
        )
    return time.monotonic() - started


def wait_for_change(hub: Hub, repo_id: str, patience: Patience) -> None:
    """After an order to restart: for a while, the stage may still be that of before."""
    started = time.monotonic()
    while time.monotonic() - started < patience.settle and hub.runtime(repo_id).stage == "RUNNING":
        time.sleep(patience.poll)


def still_running(hub: Hub, space: SpaceState, every: float) -> Callable[[], None]:
    """What raises when the Space has ended; asks the Hub at first, then now and then only.

    A sleeping Space is woken by whoever waits for it.
    """
    asked = -math.inf

    def look() -> None:
        nonlocal asked
        if time.monotonic() - asked >= every:
            asked = time.monotonic()
            runtime = hub.runtime(space.repo_id)
            if runtime.stage not in WAKES_ON_A_VISIT:
                raise_if_ended(hub, space.repo_id, runtime)

    return look


def still_running_at(url: str, find: Callable[[], tuple[Hub, str]]) -> Callable[[], None]:
    """The same for a server that is given by its address, if that is the Space that `find` names.

    An address doesn't tell whose Space it is. Where the Hub doesn't say either, nothing is raised.
    """
    look: Callable[[], None] | None = None

    def look_once_found() -> None:
        nonlocal look
        try:
            look = look or found()
        except OpsError:
            look = _nothing
        look()

    def found() -> Callable[[], None]:
        hub, repo_id = find()
        space = hub.space(hub.full_name(repo_id))
        if space is None or space.url != url.rstrip("/"):
            return _nothing
        return still_running(hub, space, _LOOK_EVERY)

    return look_once_found


def _nothing() -> None:
    pass
