"""The Hub that served a data folder before, and what it had started: both must be gone.

Whoever kills a Hub leaves its git processes and apps to the watchdog, which is done a moment later.
Until then nobody else may tidy up the folder.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ops.adapters.watchdog import WATCHDOG
from ops.errors import FolderInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = "ending.lock"
_LIMIT = 20.0
_POLL = 0.02


@contextmanager
def succession(data: Path) -> Iterator[None]:
    """Wait for what is left of the Hub before; have the next one wait for what is left of us.

    Raises:
        FolderInUse: it does not end.
    """
    path = (data / _LOCK).resolve()
    _wait_until_free(path)
    WATCHDOG.lock(path)
    for mark in WATCHDOG.mark.values():
        WATCHDOG.watch("marked", mark)
    try:
        yield
    finally:
        WATCHDOG.forget("lock", path)


def _wait_until_free(path: Path) -> None:
    until = time.monotonic() + _LIMIT
    with path.open("a", encoding="ascii") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    break
                time.sleep(_POLL)
            else:
                return
    raise FolderInUse(
        f"What a Hub on {path.parent} had started is still ending.",
        next_step="Try again in a moment.",
    )
