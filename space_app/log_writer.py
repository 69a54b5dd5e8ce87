"""Writes the log from a thread of its own: a log that nobody reads must not stop the server."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_MOST_LINES = 10_000
"""That wait to be written, about three megabytes; more are dropped."""

_LAST_SECONDS = 1.0
"""For what is left at the exit."""


class LogWriter(logging.Handler):
    """Keeps lines until the stream takes them; says how many it had to drop."""

    def __init__(self, stream: TextIO | None, *, most_lines: int = _MOST_LINES):
        super().__init__()
        # A file descriptor, as a thread that is stuck in a write would hold the stream's lock, and
        # Python aborts at the exit. `sys.stderr` is None where there is no standard error.
        self._target = None if stream is None else os.dup(stream.fileno())
        self._most = most_lines
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        try:
            # Here, as what a line says depends on which request is being answered.
            line = self.format(record)
        except Exception:  # noqa: BLE001 -- as all of logging's handlers do
            self.handleError(record)
            return
        with self._changed:
            if len(self._lines) < self._most:
                self._lines.append(line)
                self._changed.notify()
            else:
                self._dropped += 1

    def flush(self) -> None:
        """Wait until all is written, for a second at most; called by logging at the exit."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, _LAST_SECONDS)

    def _write_all(self) -> None:
        written = True
        while True:
            with self._changed:
                # What was dropped is told as soon as somebody reads again.
                self._changed.wait_for(lambda: self._lines or (written and self._dropped))  # noqa: B023 -- called here only
                lines = list(self._lines)
                dropped = self._dropped
            written = self._write([*lines, *self._report(dropped)])
            with self._changed:
                for _ in lines:
                    self._lines.popleft()
                self._dropped += -dropped if written else len(lines)
                self._changed.notify_all()

    def _report(self, dropped: int) -> list[str]:
        if not dropped:
            return []
        message = "Log lines were dropped: standard error was not read fast enough"
        record = logging.LogRecord("space_app", logging.WARNING, __file__, 0, message, (), None)
        record.fields = {"dropped": dropped}
        return [self.format(record)]

    def _write(self, lines: list[str]) -> bool:
        """Whether somebody took them."""
        rest = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        try:
            while rest and self._target is not None:
                rest = rest[os.write(self._target, rest) :]
        except OSError:  # the reader has gone, or a disk is full: there is nobody to tell now
            return False
        return True
