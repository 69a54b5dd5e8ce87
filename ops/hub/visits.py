"""Who uses a Space right now, and when somebody last did."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Visits:
    """Counted by the proxy; a Space falls asleep between two of them."""

    def __init__(self) -> None:
        self._now = 0
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """A request has come."""
        with self._lock:
            self._now += 1

    def end(self) -> None:
        """Its reply is over."""
        with self._lock:
            self._now -= 1
            self._last = time.monotonic()

    def renew(self) -> None:
        """Count from now on, as if somebody had been there."""
        with self._lock:
            self._last = time.monotonic()

    def unless_visited(self, seconds: float, sleep: Callable[[], None]) -> bool:
        """Fall asleep when nobody was there for so long; nobody can come in meanwhile."""
        with self._lock:
            if self._now or time.monotonic() - self._last < seconds:
                return False
            sleep()
            return True
