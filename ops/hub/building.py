"""Builds the commit of a Space, with whatever was ordered to go wrong."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import Future, wait
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
_NO_TAG = re.compile(r"[^a-z0-9]+")


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

    A runner hears of it with its next line only, and a step may be silent for long: nobody waits
    for that. Variables are build arguments, as on the Hub; secrets reach a build on the Hub as
    mounted files, and no build here. Raises BuildFailed.
    """
    if fault := means.faults.take("slow-build", repo_id=repo.id):
        log(f"The fault slow-build was ordered: {fault.seconds:g} s")
        _wait(fault.seconds, check)
    fails = means.faults.take("fail-build", repo_id=repo.id)
    told = _Told(log, fails.step if fails is not None else None)
    built: Future[Image] = Future()

    def work() -> None:
        try:
            built.set_result(_image(repo, commit, settings, means, told))
        except BaseException as error:  # noqa: BLE001 -- for whoever waits
            built.set_exception(error)

    threading.Thread(target=work, name=f"build of {repo.id}", daemon=True).start()
    try:
        while not built.done():
            check()
            wait([built], timeout=_STEP)
    finally:
        told.given_up = True
    image = built.result()
    if fails is not None:
        raise told.failure()
    return image


def _image(repo: Repo, commit: str, settings: Settings, means: Means, log: Log) -> Image:
    variables = {name: v.value.get_secret_value() for name, v in settings.variables.items()}
    with (
        TemporaryDirectory(prefix="embedding-space-build-") as folder,
        WATCHDOG.watching("folder", folder),
    ):
        repo.git.export(commit, Path(folder))
        return means.runner.build(
            Path(folder),
            tag=f"embedding-space-hub/{_tag(repo.owner)}/{_tag(repo.name)}:latest",
            build_args={**means.build_args, **variables},
            log=log,
        )


def _tag(name: str) -> str:
    """A name as an engine takes it: it knows fewer than the Hub. Images are had by their ids."""
    return _NO_TAG.sub("-", name.lower()).strip("-") or "0"


def _wait(seconds: float, check: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check()
        time.sleep(_STEP)


class _GivenUp(Exception):
    """Nobody waits for this build any more."""


class _Told:
    """A log that ends a build: one that was given up, or after so many lines."""

    def __init__(self, log: Log, step: int | None):
        self.given_up = False
        self._log = log
        self._step = step
        self._lines = 0

    def __call__(self, line: str) -> None:
        if self.given_up:
            raise _GivenUp
        if self._step is not None and self._lines >= self._step:
            raise self.failure()
        self._lines += 1
        self._log(line)

    def failure(self) -> BuildFailed:
        return BuildFailed(
            f"The fault fail-build was ordered, after {self._lines} lines.",
            next_step="Build again: the fault is used up.",
        )
