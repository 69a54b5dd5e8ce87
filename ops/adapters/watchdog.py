"""Ends what this process started when it is gone, in whatever way it went.

A second process reads a pipe whose other end is ours alone. Each line says what to end, or what has
ended by itself; when the pipe closes, which the system sees to even after `kill -9`, all that is
left is ended. (Linux can tell children of a parent's death, but of the death of the thread that
made them, and no containers.)
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

if __name__ != "__main__":  # the other process can't import the package
    from ops.child_environment import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["session", "marked", "container", "folder", "lock"]
_Entry = tuple[Kind, str]

_END_LIMIT = 5
_MARK = "EMBEDDING_SPACE_STARTED_BY"
_OURS = secrets.token_hex(8)
_LATE = 2.0
"""Seconds after which an engine has made a container that it was asked for at the last moment."""


class Watchdog:
    """What this process must not leave behind; the other process begins with the first of it."""

    def __init__(self) -> None:
        self._watched: dict[_Entry, None] = {}
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, kind: Kind, name: str | int | Path) -> Iterator[None]:
        """End it if this process is gone before the context is left."""
        self.watch(kind, name)
        try:
            yield
        finally:
            self.forget(kind, name)

    def watch(self, kind: Kind, name: str | int | Path) -> None:
        """End it when this process is gone.

        A session is named by its leader, a container by its name, processes with a mark by that.
        A lock is a file: it stays locked (shared) until all is ended.
        """
        with self._lock:
            self._watch(kind, str(name))

    def forget(self, kind: Kind, name: str | int | Path) -> None:
        """It has ended."""
        with self._lock:
            self._watched.pop((kind, str(name)), None)
            if self._process is not None:
                self._tell(["forget", kind, str(name)])

    @property
    def mark(self) -> dict[str, str]:
        """A variable for the environment of short-lived processes, and so of their children.

        Linux alone tells of other processes' environments; elsewhere nothing ends these.
        """
        return {_MARK: f"{os.getpid()}-{_OURS}"}

    def lock(self, path: Path) -> None:
        """Have a file locked (shared) from now on, until all is ended or it is forgotten."""
        with self._lock:  # until it is acknowledged, as another thread would take that for its own
            self._watch("lock", str(path))
            acknowledged = self._process.stdout if self._process is not None else None
            while acknowledged is not None and (line := acknowledged.readline()):
                if line.rstrip("\n") == str(path):
                    return

    def close(self) -> None:
        """End the other process, and with it whatever is still watched."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        for pipe in filter(None, (process.stdin, process.stdout)):
            with suppress(BrokenPipeError):
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_LIMIT)

    def _watch(self, kind: Kind, name: str) -> None:
        self._watched[kind, name] = None
        self._tell(["watch", kind, name])

    def _tell(self, line: list[str]) -> None:
        if self._process is None or not self._write([line]):
            # It is the first time, or somebody ended it: a new one is told all.
            self._process = _started()
            self._write(["watch", *entry] for entry in self._watched)

    def _write(self, told: Iterable[list[str]]) -> bool:
        assert self._process is not None  # noqa: S101 -- for the type checker
        pipe = self._process.stdin
        try:
            if pipe is not None:
                pipe.writelines(json.dumps(line) + "\n" for line in told)
                pipe.flush()
        except BrokenPipeError:
            for old in filter(None, (pipe, self._process.stdout)):
                with suppress(BrokenPipeError):
                    old.close()
            self._process.wait()
            return False
        return True


def _started() -> subprocess.Popen[str]:
    """The other process, in a session of its own: Ctrl-C on the terminal is not for it."""
    return subprocess.Popen(
        [sys.executable, "-I", __file__],
        cwd="/",
        env=child_environment(docker=True),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


WATCHDOG = Watchdog()
"""The one of this process."""
atexit.register(WATCHDOG.close)


def _guard(pipe: IO[str]) -> None:
    """The other process: read until nobody can write any more, then end what is left."""
    left: dict[_Entry, ExitStack] = {}
    with suppress(ValueError):  # half a line: its writer is gone
        for line in pipe:
            order, kind, name = json.loads(line)
            if order == "watch":
                left[kind, name] = _locked(name) if kind == "lock" else ExitStack()
            elif (kind, name) in left:
                left.pop((kind, name)).close()
    for kind, name in left:
        if kind == "session":
            _end_session(int(name))
        elif kind == "marked":
            _end_marked(name)
    _remove_containers([name for kind, name in left if kind == "container"])
    for kind, name in left:
        if kind == "folder":
            shutil.rmtree(name, ignore_errors=True)


def _locked(path: str) -> ExitStack:
    """Holds the lock until it is closed, or this process ends; says when."""
    held = ExitStack()
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        held.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    with suppress(BrokenPipeError):
        print(path, flush=True)  # noqa: T201 -- the pipe to who asked for it
    return held


def _end_session(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _end_marked(mark: str) -> None:
    """Kill all that has the mark, until there is none: each may have had children meanwhile."""
    until = time.monotonic() + _END_LIMIT
    entry = f"{_MARK}={mark}".encode()
    while time.monotonic() < until:
        found = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _has(path, entry)]
        if not found:
            return
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def _has(process: Path, entry: bytes) -> bool:
    try:
        return entry in (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False


def _remove_containers(names: list[str]) -> None:
    if not names:
        return
    import docker  # noqa: PLC0415 -- most of these processes never need it
    from docker.errors import DockerException  # noqa: PLC0415

    for wait in (0.0, _LATE):
        time.sleep(wait)
        for name in names:
            with suppress(DockerException, OSError):
                docker.from_env().containers.get(name).remove(v=True, force=True)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _guard(sys.stdin)
