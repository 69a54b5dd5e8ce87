"""A container that serves: watched, its log read, removed in the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, NotFound

from ops.adapters.docker_errors import TRANSPORT, engine_errors
from ops.adapters.docker_stream import Lines
from ops.adapters.watchdog import WATCHDOG

if TYPE_CHECKING:
    from docker.models.containers import Container

    from ops.runner import Log

_STOP_GRACE = 5
_KILLED = 137


class DockerServer:
    """A container that was started; see `ops.runner.Running`."""

    def __init__(self, container: Container, url: str, log: Log):
        self._container = container
        self._name = str(container.name)
        self._url = url
        self._log = log
        self._stopped = False
        self._stopping = threading.Lock()
        self._exit_code: int | None = None
        self._reader = threading.Thread(target=self._follow, name=f"log of {url}", daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """See `Running.url`."""
        return self._url

    def exit_code(self) -> int | None:
        """See `Running.exit_code`; one that somebody else removed was killed."""
        if self._exit_code is None:
            with engine_errors():
                try:
                    self._container.reload()
                except NotFound:
                    self._exit_code = _KILLED
                else:
                    state = self._container.attrs["State"]
                    if state["Status"] in ("exited", "dead"):
                        self._exit_code = int(state["ExitCode"])
        return self._exit_code

    def resident_bytes(self) -> int | None:
        """See `Running.resident_bytes`: what its memory limit counts, less the file cache."""
        with engine_errors():
            try:
                stats: Any = self._container.stats(stream=False, one_shot=True)
            except NotFound:
                return None
        memory = stats["memory_stats"]
        if "usage" not in memory:
            return None
        counters = memory.get("stats", {})
        cache = counters.get("inactive_file", counters.get("total_inactive_file", 0))
        return int(memory["usage"]) - int(cache)

    def stop(self) -> None:
        """See `Running.stop`: asked to end, killed after some seconds, removed."""
        with self._stopping:
            if self._stopped:
                return
            try:
                with engine_errors(), suppress(NotFound):
                    self._container.stop(timeout=_STOP_GRACE)
                self.exit_code()
            finally:
                with engine_errors(), suppress(NotFound):
                    self._container.remove(v=True, force=True)
            WATCHDOG.forget("container", self._name)
            self._stopped = True
        self._reader.join(timeout=_STOP_GRACE)

    def _follow(self) -> None:
        lines = Lines(self._log)
        # An engine that goes away ends the log; whoever asks for the exit code is told.
        with suppress(DockerException, *TRANSPORT):
            for chunk in self._container.logs(stream=True, follow=True):
                lines.feed(chunk.decode("utf-8", "replace"))
        lines.end()
