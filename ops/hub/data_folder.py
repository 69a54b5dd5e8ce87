"""The folder in which a Hub keeps everything: one Hub at a time, and the tokens of its people."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops import files
from ops.errors import ConfigError, FolderInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from ops.hub.accounts import Role

LOCK = "hub.lock"
"""Held by whoever serves the folder; that it is there says that the folder is a Hub's."""


@dataclass(frozen=True)
class Held:
    """The lock of a data folder; the system gives it back when the process ends in any way."""

    _file: TextIO

    def release(self) -> None:
        """Let another Hub have the folder; may be called again."""
        self._file.close()


@contextmanager
def usable(data: Path) -> Iterator[None]:
    """Raise ConfigError when the system refuses what a Hub does with its folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or data} cannot be used: {error.strerror or error}.",
            next_step="Give a place that can be written to and has room: a folder with --data, "
            "a token's file with --token.",
        ) from error


def hold(data: Path) -> Held:
    """Take a folder for a Hub, making it when it is not there.

    Raises:
        FolderInUse: another Hub has it.
        ConfigError: it cannot be made or written to.
    """
    with usable(data):
        data.mkdir(parents=True, exist_ok=True)
        file = _locked(data)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
    return Held(file)


def _locked(data: Path) -> TextIO:
    """The open lock file, which is locked until it is closed; raises FolderInUse."""
    # Not through a link: whoever holds the lock overwrites what is in the file.
    file = open(  # noqa: SIM115 -- pathlib takes no opener; the caller closes it
        data / LOCK,
        "a+",
        encoding="ascii",
        opener=lambda p, flags: os.open(p, flags | os.O_NOFOLLOW),
    )
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise FolderInUse(
            f"A Hub serves {data} already (process {holder}).",
            next_step="End it first, or give another folder with --data.",
        ) from error
    return file


def kept_token(data: Path, name: str, role: Role) -> str:
    """A token of somebody's in `DATA/tokens`, made when there is none."""
    return token_in(token_file(data, name, role))


def token_file(data: Path, name: str, role: Role) -> Path:
    """Where a token of somebody's is."""
    return data / "tokens" / f"{name}.{role}"


def token_in(path: Path) -> str:
    """The token in a file; a new one when it is not there. Nobody else may read it.

    Raises:
        ConfigError: the file holds none, or cannot be made or read.
    """
    with usable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(path):
            if not path.exists():
                files.write(path, f"hf_{secrets.token_hex(17)}\n".encode(), mode=0o600)
        token = path.read_text(encoding="ascii", errors="replace").strip()
    if not token or any(character.isspace() or not character.isascii() for character in token):
        raise ConfigError(
            f"{path} holds no token.",
            cause="A token is one line of printable ASCII.",
            next_step="Delete the file to have a new token made.",
        )
    return token


def require_hub(data: Path) -> None:
    """Raise ConfigError unless the folder is a Hub's."""
    if not (data / LOCK).is_file():
        raise ConfigError(
            f"{data} is not a Hub's folder: it has no {LOCK}.",
            next_step="Give the folder of ops hub serve with --data.",
        )


def require_idle(data: Path) -> None:
    """Raise ConfigError unless the folder is a Hub's, FolderInUse while one serves it."""
    require_hub(data)
    with usable(data):
        _locked(data).close()


def reset(data: Path) -> None:
    """Delete all that a Hub keeps, and the folder.

    Raises:
        ConfigError: the folder is no Hub's, or something in it cannot be deleted.
        FolderInUse: a Hub serves it.
    """
    require_hub(data)
    held = hold(data)
    with usable(data):
        try:
            for path in _all_but_lock(data):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            (data / LOCK).unlink()
        finally:
            held.release()
        if not data.is_symlink():
            data.rmdir()


def _all_but_lock(data: Path) -> Iterator[Path]:
    return (path for path in sorted(data.iterdir()) if path.name != LOCK)
