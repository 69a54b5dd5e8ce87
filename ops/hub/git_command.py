"""git itself, run on one bare repository and deaf to the configuration of whoever runs it."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from ops.adapters.watchdog import WATCHDOG
from ops.hub.errors import HubError, disk_full, is_disk_full, no_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_LITTLE = 64 * 1024
"""Bytes: as much as git needs for anything."""


@dataclass(frozen=True)
class Author:
    """Who commits, and when, in seconds since 1970; None for now."""

    name: str
    when: int | None = None


@dataclass(frozen=True)
class Git:
    """Commands on the repository in `folder`; `index` is a file for those that need one.

    `left` is set when the repository is no longer in that folder, where another one may be.
    """

    folder: Path
    author: Author = Author("hub")
    index: Path | None = None
    left: threading.Event = field(default_factory=threading.Event)

    @property
    def is_gone(self) -> bool:
        """Whether the repository is not there any more."""
        return self.left.is_set() or not (self.folder / "HEAD").is_file()

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What a command writes; raises HubError when it fails."""
        done = self._done(arguments, stdin)
        if done.returncode != 0:
            raise self.failure(arguments[0], done.stderr)
        return done.stdout

    def failure(self, command: str, said: bytes) -> HubError:
        """Why a command failed; a repository may have been deleted or moved meanwhile."""
        if command != "init" and self.is_gone:
            return no_repository()
        if _has_no_room(self.folder):
            return disk_full()
        return HubError(500, f"git {command} failed: {said.decode(errors='replace').strip()}")

    def attempt(self, *arguments: str, stdin: bytes = b"") -> bytes | None:
        """What a command writes, None when it fails."""
        done = self._done(arguments, stdin)
        return done.stdout if done.returncode == 0 else None

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        """A command that goes on; `streams` as `Popen` has them."""
        return subprocess.Popen(["git", *arguments], env=self._environment(), **streams)

    @contextmanager
    def blobs(self) -> Iterator[Callable[[str], bytes]]:
        """Read any number of blobs by their ids, with one process."""
        process = self.start(
            *("cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # that it has ended says enough
        )
        with process:
            assert process.stdin is not None  # noqa: S101 -- both are pipes
            assert process.stdout is not None  # noqa: S101
            requests, replies = process.stdin, process.stdout

            def read(oid: str) -> bytes:
                with suppress(BrokenPipeError):  # then there is no reply
                    requests.write(f"{oid}\n".encode())
                    requests.flush()
                words = replies.readline().split()
                if len(words) != 3:  # noqa: PLR2004 -- id, type, size
                    raise self.failure("cat-file", f"there is no blob {oid}".encode())
                content = replies.read(int(words[2]))
                replies.read(1)
                return content

            try:
                yield read
            finally:
                with suppress(BrokenPipeError):
                    requests.close()

    def _done(self, arguments: Sequence[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *arguments],
            input=stdin,
            capture_output=True,
            env=self._environment(),
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        who, when = self.author.name, self.author.when
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_DIR": str(self.folder),
            # Nothing of the machine's or the user's git configuration decides what a Hub does.
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_LITERAL_PATHSPECS": "1",
            **WATCHDOG.mark,
        }
        if self.index is not None:
            environment["GIT_INDEX_FILE"] = str(self.index)
        for role in ("AUTHOR", "COMMITTER"):
            environment[f"GIT_{role}_NAME"] = who
            environment[f"GIT_{role}_EMAIL"] = f"{who}@users.noreply.localhost"
            if when is not None:
                environment[f"GIT_{role}_DATE"] = f"@{when} +0000"
        return environment


def _has_no_room(folder: Path) -> bool:
    """Whether the system takes nothing more there: tried, so that quotas count as well."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(_LITTLE))
            file.flush()
    except OSError as error:
        return is_disk_full(error)
    return False
