"""Waits until a Space runs the commit that was pushed, and says why when it does not."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.errors import BuildFailed, NotRunning, OpsError, SpaceConfigError, TimedOut, Unhealthy

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub, Runtime
    from ops.runner import Log

_REFUSED = frozenset({"CONFIG_ERROR", "NO_APP_FILE"})
_IDLE = frozenset({"PAUSED", "SLEEPING", "STOPPED"})
_TAIL_LINES = 30


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    `settle`: for so long after a push, an error stage may still be that of the version before.
    """

    limit: float = 30 * 60
    poll: float = 2
    settle: float = 20


def wait_until_running(
    hub: Hub, repo_id: str, commit: str, *, say: Log, patience: Patience
) -> float:
    """Wait until the Space runs `commit`; returns the seconds that it took.

    The stage alone may be that of the version before, so the commit that runs decides. A paused or
    sleeping Space is started, once.

    Raises:
        SpaceConfigError, BuildFailed, Unhealthy: it ended in an error stage.
        NotRunning: it went idle again after it was started.
        TimedOut: it took longer than the limit.
    """
    started = time.monotonic()
    shown = ""
    moved = woken = False
    while (waited := time.monotonic() - started) < patience.limit:
        runtime = hub.runtime(repo_id)
        if runtime.stage == "RUNNING" and runtime.commit == commit:
            say(f"{waited:5.0f} s  RUNNING {commit[:8]}")
            return waited
        line = f"{runtime.stage} {(runtime.commit or '-')[:8]}"
        if line != shown:
            say(f"{waited:5.0f} s  {line}")
            moved, shown = bool(shown), line
        if runtime.stage in _IDLE and not woken:
            say(f"{waited:5.0f} s  starting it")
            hub.restart(repo_id)
            woken = True
        elif moved or waited > patience.settle:
            raise_if_ended(hub, repo_id, runtime)
        time.sleep(patience.poll)
    raise TimedOut(
        f"{repo_id} does not run commit {commit[:8]} after {patience.limit:.0f} s; "
        f"its stage is {shown}.",
        cause="The build is queued or slow, or the server does not answer on its port.",
        next_step="Look again with ops status; ops deploy continues from there.",
    )


def raise_if_ended(hub: Hub, repo_id: str, runtime: Runtime) -> None:
    """Raise what `wait_until_running` raises for a stage that waiting does not help."""
    said = f": {runtime.error_message}" if runtime.error_message else "."
    if runtime.stage in _REFUSED:
        raise SpaceConfigError(
            f"The Hub refuses the configuration of {repo_id} ({runtime.stage}){said}",
            next_step="Correct space.toml, or the setting on the Hub, and deploy again.",
        )
    if runtime.stage == "BUILD_ERROR":
        raise BuildFailed(
            f"The build of {repo_id} failed{said}",
            cause="The last lines of its log say where.",
            next_step="Try it here with ops build, then deploy again.",
            log_tail=_tail(hub, repo_id, build=True),
        )
    if runtime.stage == "RUNTIME_ERROR":
        raise Unhealthy(
            f"{repo_id} was built but does not run{said}",
            cause="The last lines of its log say why.",
            next_step="Try it here with ops smoke-test, then deploy again.",
            log_tail=_tail(hub, repo_id, build=False),
        )
    if runtime.stage in _IDLE:
        raise NotRunning(
            f"{repo_id} is {runtime.stage} although it was started.",
            cause="Somebody paused it, or a quota of running Spaces is used up.",
            next_step="Start it on its settings page, then deploy again.",
        )


def _tail(hub: Hub, repo_id: str, *, build: bool) -> tuple[str, ...]:
    try:
        return tuple(deque(hub.logs(repo_id, build=build), maxlen=_TAIL_LINES))
    except OpsError as error:
        # The failure that is being reported matters more than a log that cannot be read.
        return (f"(its log cannot be read: {error})",)
