"""A server that runs as a local process: started, watched, ended with all its children."""

from __future__ import annotations

import fcntl
import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil

from ops.adapters.free_port import LOOPBACK
from ops.adapters.watchdog import WATCHDOG
from ops.errors import Unhealthy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ops.runner import Log

_STOP_GRACE = 10

_WHEN_TOLD = """
import os, sys
if os.read(0, 1):
    os.execv(sys.argv[1], sys.argv[1:])
"""
"""A program that becomes the one of its arguments at the first byte, and ends without any."""


class ProcessServer:
    """A server that was started; see `ops.runner.Running`."""

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        port: int,
        cpus: float,
        log: Log,
    ):
        self._url = f"http://{LOOPBACK}:{port}"
        self._log = log
        self._stopped = False
        self._stopping = threading.Lock()
        with ExitStack() as held:
            held.enter_context(locked(folder, fcntl.LOCK_SH))
            home = held.enter_context(TemporaryDirectory(prefix="embedding-space-home-"))
            held.enter_context(WATCHDOG.watching("folder", home))
            try:
                self._child = popen(command, folder, {"TMPDIR": home, **environment, "HOME": home})
            except (OSError, ValueError) as error:
                raise Unhealthy(
                    "The server's process could not be started.",
                    cause=f"The system refused it ({type(error).__name__}).",
                    next_step="Look for a variable that no environment can hold.",
                ) from error
            self._held = held.pop_all()
        _limit_cpus(self._child.pid, cpus)
        self._reader = threading.Thread(target=self._follow, name=f"log of {self.url}", daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """See `Running.url`."""
        return self._url

    def exit_code(self) -> int | None:
        """See `Running.exit_code`; the negative number of a signal that ended it."""
        running = self._child.returncode is None
        code = self._child.poll()
        if running and code is not None:
            kill_group(self._child.pid)
            WATCHDOG.forget("session", self._child.pid)
        return code

    def resident_bytes(self) -> int | None:
        """See `Running.resident_bytes`; memory shared by its processes counts for each of them."""
        if self.exit_code() is not None:
            return None
        try:
            leader = psutil.Process(self._child.pid)
            total = leader.memory_info().rss
        except psutil.NoSuchProcess:
            return None
        for process in leader.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return int(total)

    def stop(self) -> None:
        """See `Running.stop`: asked to end, killed after some seconds with all its children."""
        with self._stopping:
            if self._stopped:
                return
            try:
                self._child.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._child.wait(timeout=_STOP_GRACE)
            finally:
                kill_group(self._child.pid)
                self._child.wait()
                WATCHDOG.forget("session", self._child.pid)
                self._reader.join(timeout=_STOP_GRACE)
                self._held.close()
                self._stopped = True

    def _follow(self) -> None:
        for line in lines(self._child):
            self._log(line)


@contextmanager
def locked(folder: Path, operation: int) -> Iterator[None]:
    """A lock on a folder, shared by those who use it, exclusive to whoever removes it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def popen(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """A child in a session of its own: Ctrl-C on the terminal is for us, who then end it.

    It begins when it is watched, so that there is no moment at which it could outlive us. Whoever
    ends it tells the watchdog, too.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WHEN_TOLD, *command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    WATCHDOG.watch("session", child.pid)
    if child.stdin is not None:
        with suppress(BrokenPipeError), child.stdin as told:  # somebody ended it already
            told.write("\n")
    return child


def lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """Its output until it ends, progress bars (carriage returns) as lines of their own."""
    if child.stdout is not None:
        with child.stdout as output:
            for line in output:
                yield line.rstrip("\n")


def kill_group(leader: int) -> None:
    """End whatever is left of the session that a child began."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(leader, signal.SIGKILL)


def _limit_cpus(pid: int, cpus: float) -> None:
    """Let a process use so many CPUs; systems other than Linux have no such limit."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))[: math.ceil(cpus)]
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, allowed)
