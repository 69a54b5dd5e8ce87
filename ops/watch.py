"""Waits until a Space runs the commit that was pushed, and says why when it does not."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ops.errors import Conflict, OpsError, TimedOut
from ops.log_follower import LogFollower
from ops.stages import IDLE, REFUSED, ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.adapters.hf_hub import Hub, Runtime
    from ops.runner import Log

_ENDED = REFUSED | IDLE | {"BUILD_ERROR", "RUNTIME_ERROR"}
_TAIL_LINES = 30
_LOOKS = 5
"""Somebody else's commit is looked for at every so many looks at the stage."""


class View(Protocol):
    """Where a wait can be seen while it lasts; its end is the end of what it shows."""

    def stage(self, text: str) -> None:
        """What the Space is doing from now on."""

    def log(self, line: str) -> None:
        """A line that its build or its app has just written; called by another thread."""


Show = Callable[[], AbstractContextManager[View]]
"""Opens a view for the time of a wait."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    `settle`: for so long after a push, an error stage may still be that of the version before.
    """

    limit: float = 30 * 60
    poll: float = 2
    settle: float = 20


def wait_until_running(
    hub: Hub,
    repo_id: str,
    commit: str,
    *,
    say: Log,
    patience: Patience,
    show: Show | None = None,
) -> float:
    """Wait until the Space runs `commit`; returns the seconds that it took.

    The stage alone may be that of the version before, so the commit that runs decides. A paused or
    sleeping Space is started, once. Each stage is said; with `show`, the log is seen meanwhile.

    Raises:
        SpaceConfigError, BuildFailed, Unhealthy: it ended in an error stage.
        NotRunning: it went idle again after it was started.
        Conflict: somebody else committed, so that `commit` will never run.
        TimedOut: it took longer than the limit.
    """
    started = time.monotonic()
    shown = ""
    moved = woken = False
    with _seen(hub, repo_id, show) as see:
        for look in itertools.count(1):
            waited = time.monotonic() - started
            if waited >= patience.limit:
                break
            runtime = hub.runtime(repo_id)
            if runtime.stage == "RUNNING" and runtime.commit == commit:
                say(f"{waited:5.0f} s  RUNNING {commit[:8]}")
                return waited
            line = f"{runtime.stage} {(runtime.commit or '-')[:8]}"
            if line != shown:
                see(runtime)
                say(f"{waited:5.0f} s  {line}")
                moved, shown = bool(shown), line
            if runtime.stage in IDLE and not woken:
                say(f"{waited:5.0f} s  starting it")
                hub.restart(repo_id)
                woken = True
            elif moved or waited > patience.settle:
                if runtime.stage in _ENDED or look % _LOOKS == 0:
                    raise_if_overtaken(hub, repo_id, commit)
                raise_if_ended(hub, repo_id, runtime)
            time.sleep(patience.poll)
    raise TimedOut(
        f"{repo_id} does not run commit {commit[:8]} after {patience.limit:.0f} s; "
        f"its stage is {shown}.",
        cause="The build is queued or slow, or the server does not answer on its port.",
        next_step="Look again with ops status; ops deploy continues from there.",
    )


@contextmanager
def _seen(hub: Hub, repo_id: str, show: Show | None) -> Iterator[Callable[[Runtime], None]]:
    """Yields what is told of each new stage; it shows it, and the log that belongs to it."""
    if show is None:
        yield lambda _: None
        return
    with show() as view, closing(LogFollower(hub, repo_id, view.log)) as follower:

        def see(runtime: Runtime) -> None:
            view.stage(f"{repo_id} {runtime.stage}")
            follower.turn_to(build=not runtime.stage.endswith("APP_STARTING"))

        yield see


def raise_if_overtaken(hub: Hub, repo_id: str, commit: str) -> None:
    """Raise Conflict when somebody else committed: `commit` will not run, or not for long."""
    space = hub.space(repo_id)
    if space is not None and space.commit != commit:
        raise Conflict(
            f"Somebody else committed {space.commit[:8]} to {repo_id} "
            f"while it was to run {commit[:8]}.",
            cause="A Space runs its newest commit only. Theirs was not touched.",
            next_step="Look at the difference with ops plan, then deploy again.",
        )


def raise_if_ended(hub: Hub, repo_id: str, runtime: Runtime) -> None:
    """Raise what `wait_until_running` raises for a stage that waiting does not help."""
    built = runtime.stage != "BUILD_ERROR"
    has_log = runtime.stage in ("BUILD_ERROR", "RUNTIME_ERROR")
    tail = _tail(hub, repo_id, build=not built) if has_log else ()
    error = ended(repo_id, runtime.stage, said=runtime.error_message, log_tail=tail)
    if error is not None:
        raise error


def _tail(hub: Hub, repo_id: str, *, build: bool) -> tuple[str, ...]:
    try:
        with hub.log(repo_id, build=build, follow=False, tail=_TAIL_LINES) as lines:
            return tuple(line.text for line in deque(lines, maxlen=_TAIL_LINES))
    except OpsError as error:
        # The failure that is being reported matters more than a log that cannot be read.
        return (f"(its log cannot be read: {error})",)
