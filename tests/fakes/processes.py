"""Whether processes have ended, whoever has yet to notice it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable


def runs(process: psutil.Process) -> bool:
    """Whether it still does anything: one that has ended may wait for its parent to hear of it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_ended(processes: Iterable[psutil.Process], limit: float = 20) -> None:
    """Return when none of them runs any more."""
    until = time.monotonic() + limit
    left = list(processes)
    while left := [process for process in left if runs(process)]:
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.01)
