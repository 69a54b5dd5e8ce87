"""Builds the commit of a Space, with whatever was ordered to go wrong."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ops.adapters.watchdog import WATCHDOG
from ops.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.hub.means import Means
    from ops.hub.store import Repo, Settings
    from ops.runner import Image, Log

_STEP = 0.1


def build(
    repo: Repo,
    commit: str,
    settings: Settings,
    means: Means,
    *,
    log: Log,
    check: Callable[[], None],
) -> Image:
    """An image of a commit; `check` raises to give up.

    Variables are build arguments, as on the Hub; secrets reach a build on the Hub as mounted
    files, and no build here. Raises BuildFailed.
    """
    variables = {name: v.value.get_secret_value() for name, v in settings.variables.items()}
    if fault := means.faults.take("slow-build", repo_id=repo.id):
        log(f"The fault slow-build was ordered: {fault.seconds:g} s")
        _wait(fault.seconds, check)
    fails = means.faults.take("fail-build", repo_id=repo.id)
    told = _Told(log, fails.step) if fails is not None else None
    with (
        TemporaryDirectory(prefix="embedding-space-build-") as folder,
        WATCHDOG.watching("folder", folder),
    ):
        repo.git.export(commit, Path(folder))
        image = means.runner.build(
            Path(folder),
            tag=f"embedding-space-hub/{repo.id.lower()}:latest",
            build_args={**means.build_args, **variables},
            log=told or log,
        )
    if told is not None:
        raise told.failure()
    return image


def _wait(seconds: float, check: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check()
        time.sleep(_STEP)


class _Told:
    """A log that fails the build after so many lines."""

    def __init__(self, log: Log, step: int):
        self._log = log
        self._step = step
        self._lines = 0

    def __call__(self, line: str) -> None:
        if self._lines >= self._step:
            raise self.failure()
        self._lines += 1
        self._log(line)

    def failure(self) -> BuildFailed:
        return BuildFailed(
            f"The fault fail-build was ordered, after {self._lines} lines.",
            next_step="Build again: the fault is used up.",
        )
