"""A Space's log: lines with their time, kept to the newest, readable while it grows."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice

from ops.hub.timestamp import timestamp

_MOST_LINES = 10_000


@dataclass(frozen=True)
class Line:
    """One line without its newline; `timestamp` in ISO 8601."""

    timestamp: str
    text: str


class SpaceLog:
    """Written by one thread, read by many."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=_MOST_LINES)
        self._written = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add a line."""
        with self._lock:
            self._lines.append(Line(timestamp(), text))
            self._written += 1

    def since(self, number: int) -> tuple[int, tuple[Line, ...]]:
        """Lines from the `number`th ever written on, and the number to ask from next time."""
        with self._lock:
            first = self._written - len(self._lines)
            new = tuple(islice(self._lines, max(number - first, 0), None))
            return self._written, new
