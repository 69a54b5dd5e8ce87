"""Shows a Space's log as it grows, beside whatever waits for the Space."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ops.adapters.hang_up import HangUp
from ops.errors import OpsError
from ops.logs import follow

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub
    from ops.runner import Log

_LEAVING = 2.0
"""Seconds that a thread is given to end; it shows nothing any more, and ends with the process."""


class LogFollower:
    """Follows one log at a time, in a thread of its own.

    Nothing that happens to it reaches whoever waits: a log that cannot be read is no failure of
    theirs. Once it is closed, nothing more is shown.
    """

    def __init__(self, hub: Hub, repo_id: str, show: Log):
        self._hub = hub
        self._repo_id = repo_id
        self._show = show
        self._lock = threading.Lock()
        self._build: bool | None = None
        self._hang_up = HangUp()
        self._thread: threading.Thread | None = None

    def turn_to(self, *, build: bool) -> None:
        """Follow the build's log or the app's from now on; what it says already is not shown."""
        if build == self._build:
            return
        self.close()
        self._build, self._hang_up = build, HangUp()
        self._thread = threading.Thread(
            target=self._follow,
            name=f"log of {self._repo_id}",
            args=(self._hang_up,),
            kwargs={"build": build},
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Show nothing more."""
        with self._lock:
            self._hang_up()
        if self._thread is not None:
            self._thread.join(_LEAVING)

    def _follow(self, hang_up: HangUp, *, build: bool) -> None:
        def show(text: str) -> None:
            with self._lock:
                if not hang_up.is_done:
                    self._show(text)

        try:
            lines = follow(
                self._hub,
                self._repo_id,
                say=lambda _: None,
                build=build,
                last=1,
                hang_up=hang_up,
            )
            next(lines, None)  # the newest of what was there
            for line in lines:
                show(line.text)
        except OpsError as error:
            show(f"(its log cannot be read: {error})")
