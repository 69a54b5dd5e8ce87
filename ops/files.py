"""Files that are written whole or not at all, and the lock for changing one that is there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import lock_descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_LIMIT = 10.0
"""Seconds to wait for another process, which holds the lock only while it reads and writes."""

_LOCK_POLL = 0.02


def write(path: Path, content: bytes, *, mode: int | None = None, durable: bool = True) -> None:
    """Replace a file by `content`; where that is `durable`, a power cut leaves the old or the new.

    A file that is there keeps its mode and owner unless `mode` says otherwise. A link at `path` is
    replaced, not followed: give the resolved path to write where it leads.

    Raises:
        OSError: it can't be written; the file is as it was.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    # O_EXCL creates a new file, whatever anyone has put under that name, a link included.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode or 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_after(path, file.fileno(), mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def require_writable(path: Path) -> None:
    """Raise OSError where `write` could not make a file."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    part.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes that lock the same file from changing it meanwhile.

    It is the file's folder that is locked: the file itself is replaced by each change, and a lock
    file beside it would stay there.

    Raises:
        OSError: the folder can't be locked, or (TimeoutError) another process doesn't let it go.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + _LOCK_LIMIT
        while not lock_descriptor(folder, blocking=False):
            if time.monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, "another process keeps it locked", str(path))
            time.sleep(_LOCK_POLL)
        yield
    finally:
        os.close(folder)  # which unlocks it


def _take_after(path: Path, descriptor: int, mode: int | None) -> None:
    """Give a new file the mode and owner of the one that it will replace."""
    try:
        before = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(before.st_mode):
        return
    with suppress(PermissionError):  # somebody else's file: the new one is ours
        os.fchown(descriptor, before.st_uid, before.st_gid)
    if mode is None:
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: Path) -> None:
    """Have the new name outlive a power cut, where the file system can say so."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
